/** `dcae denoise`: one raw forward pass of a diffusion model, for comparisons with other implementations. */
import { createEngine, DataError, type Tensor } from "@dcae/core";
import { readNpyFile } from "@dcae/core/checkpoint";
import { dtypeKind } from "@dcae/core/graph";
import { unlessAborted } from "@dcae/core/internal";
import { closeAll } from "@dcae/core/runtime";
import { openDenoiser } from "@dcae/diffusion";
import { loadDenoiser } from "@dcae/diffusion/internal";
import { Command } from "commander";
import type { CliIo } from "../cli-io.js";
import { writeArrayFile } from "../files/array-file.js";
import { outputKind } from "../files/paths.js";
import { addDeviceOptions, type EngineFlags } from "../options/engine-options.js";
import { addDenoiserOptions, type DenoiserFlags, denoiserOptions } from "../options/sampling-options.js";
import { addExamples } from "./command-group.js";

interface DenoiseFlags extends DenoiserFlags, EngineFlags {
  readonly x: string;
  readonly t: string;
  readonly labels?: string;
  readonly out: string;
}

export function denoiseCommand(io: CliIo): Command {
  const command = new Command("denoise")
    .summary("one raw forward pass of a diffusion model")
    .description(
      "Gives a diffusion model noisy latents, times and labels, and writes what it predicts, without guidance or sampler.",
    );
  addDenoiserOptions(command)
    .requiredOption("--x <file>", ".npy with noisy latents [N,C,S,S], in the scale that the model works in")
    .requiredOption("--t <file>", ".npy with the model time of each, [N] (0 to 1000, for flow models 0 to 1)")
    .option("--labels <file>", ".npy with the class of each, integers [N]; one past the last class means none")
    .requiredOption("-o, --out <file>", ".npy or .safetensors file: [N,C,S,S], or [N,2C,S,S] with a learned variance");
  addDeviceOptions(command);
  addExamples(command, [
    {
      does: "what a published model predicts",
      command: "dcae denoise -m dc-ae-f64c128-in-1.0-uvit-h-in-512px --x x.npy --t t.npy --labels l.npy -o eps.npy",
    },
  ]);
  return command.action((flags: DenoiseFlags) => denoise(flags, io));
}

async function denoise(flags: DenoiseFlags, io: CliIo): Promise<void> {
  const { model, device, dtype, threads, out } = flags;
  await outputKind(out, ["array"]);
  const x = await readArray("--x", flags.x, "float", 4);
  const t = await readArray("--t", flags.t, "float", 1);
  const labels = flags.labels === undefined ? undefined : await readArray("--labels", flags.labels, "int", 1);
  const opened = await openDenoiser(model, await denoiserOptions(flags, io));
  const closers = [() => opened.weights.close()];
  try {
    const engine = await createEngine({ device, dtype, ...(threads === undefined ? {} : { threads }) });
    // It frees its programs too. After an interruption there may be a computation that this would wait for.
    closers.unshift(async () => {
      if (!io.signal.aborted) await engine.dispose();
    });
    const denoiser = loadDenoiser(engine, opened.weights, opened.description.config);
    io.progress.show({ label: "denoise", done: 0, total: 1 });
    const y = await unlessAborted(denoiser.forward(x, t, labels), io.signal);
    const [count] = y.shape as readonly [number];
    await writeArrayFile({ path: out, count, tensorName: "prediction" }, (append) => append(y));
    io.out(`${out}: [${y.shape.join(", ")}]`);
  } finally {
    io.progress.clear();
    await closeAll(closers);
  }
}

/** @throws DataError for arrays of another kind or rank than the model takes */
async function readArray(option: string, path: string, kind: "float" | "int", rank: number): Promise<Tensor> {
  const array = await readNpyFile(path);
  const { dtype, shape } = array;
  if (shape.length !== rank || dtype === "bool" || (kind === "int" && dtypeKind(dtype) !== "int")) {
    throw new DataError(
      `${option} ${path}: is ${dtype} [${shape.join(", ")}], expected ${kind === "int" ? "integers" : "numbers"} of rank ${rank}`,
    );
  }
  return array.cast(kind === "float" ? "float32" : "int32");
}
