/** `dcae bench diffusion`: one denoising step and one training step, on latents of different compression. */
import { createEngine, type Device } from "@dcae/core";
import { benchDenoising, benchDiffusion, LATENTS, type LatentName, SIZES, type SizeName } from "@dcae/diffusion";
import { BENCH_LATENTS, commonResolution, type DiffusionPart, PAPER_SPEEDUP } from "@dcae/diffusion/internal";
import { writeResult } from "@dcae/eval";
import { stringifyResult, thisMachine } from "@dcae/eval/internal";
import { benchTraining } from "@dcae/train/diffusion";
import { Command, Option } from "commander";
import type { CliIo } from "../../cli-io.js";
import { UsageError } from "../../errors.js";
import { prepareOutFile } from "../../files/paths.js";
import { NODE_DEVICES } from "../../options/engine-options.js";
import { parseCount, parseListOf } from "../../options/parse-values.js";
import { addExamples } from "../command-group.js";
import { type DiffusionBenchResult, formatDiffusionBench } from "./format-diffusion.js";

interface BenchDiffusionFlags {
  readonly latents?: LatentName[];
  readonly parts?: DiffusionPart[];
  readonly batchSize: number;
  readonly device: Device | "auto";
  readonly threads?: number;
  readonly warmup: number;
  readonly iterations: number;
  readonly out?: string;
  readonly json?: boolean;
}

/** What measures each part. */
const MEASURES = { denoise: benchDenoising, train: benchTraining } as const;
const DIFFUSION_PARTS = Object.keys(MEASURES) as DiffusionPart[];
const SIZE_NAMES = Object.keys(SIZES) as SizeName[];
const LATENT_NAMES = Object.keys(LATENTS) as LatentName[];

export function benchDiffusionCommand(io: CliIo): Command {
  const command = new Command("diffusion")
    .summary("diffusion models on latents of different compression")
    .description(
      "Times one denoising step and one training step of diffusion models at full size with random weights, on latents of " +
        "SD-VAE-f8 and of DC-AE f32, f64 and f128 of the same picture size, and says how much the compression brings.",
    )
    .argument("[denoisers...]", `of ${SIZE_NAMES.join(", ")} (default: uvit-h)`)
    .option(
      "--latents <list>",
      `of ${LATENT_NAMES.join(", ")}; ratios are against the first`,
      parseListOf(LATENT_NAMES),
    )
    .option("--parts <list>", "denoise, train or both (default: both)", parseListOf(DIFFUSION_PARTS))
    .option("--batch-size <n>", "latents per step", parseCount, 1)
    .addOption(new Option("--device <name>", "where to compute").choices(["auto", ...NODE_DEVICES]).default("cpu"))
    .option("--threads <n>", "CPU threads (default: all cores)", parseCount)
    .option("--warmup <n>", "runs that don't count", parseCount, 1)
    .option("--iterations <n>", "timed runs", parseCount, 5)
    .option("-o, --out <file>", "also write the result as JSON to this file")
    .option("--json", "print the result as JSON");
  addExamples(command, [
    { does: "the paper's model, sampling only", command: "dcae bench diffusion uvit-h --parts denoise" },
    {
      does: "a training step of small ones",
      command: "dcae bench diffusion uvit-s dit-s --parts train --batch-size 4",
    },
  ]);
  return command.action((denoisers: string[], flags: BenchDiffusionFlags) => bench(denoisers, flags, io));
}

async function bench(names: readonly string[], flags: BenchDiffusionFlags, io: CliIo): Promise<void> {
  const {
    latents = BENCH_LATENTS,
    parts = DIFFUSION_PARTS,
    batchSize: batch,
    device,
    threads,
    warmup,
    iterations,
    json,
  } = flags;
  const denoisers = names.length === 0 ? (["uvit-h"] as const) : names.map(sizeOf);
  const out = flags.out === undefined ? undefined : await prepareOutFile(flags.out, ".json");
  const engine = await createEngine({ device, ...(threads === undefined ? {} : { threads }) });
  try {
    const entries = await benchDiffusion(engine, {
      denoisers,
      latents,
      parts: Object.fromEntries(parts.map((part) => [part, MEASURES[part]])),
      batch,
      warmup,
      runs: iterations,
      signal: io.signal,
      onProgress: (detail, done, total) => io.progress.show({ label: "bench", done, total, detail }),
    });
    const result: DiffusionBenchResult = {
      formatVersion: 1,
      kind: "diffusion-throughput",
      date: new Date().toISOString(),
      machine: thisMachine(),
      engine: engine.name,
      threads: threads ?? null,
      resolution: commonResolution(latents) ?? null,
      warmup,
      iterations,
      paper: PAPER_SPEEDUP,
      entries,
    };
    io.progress.clear();
    if (out !== undefined) await writeResult(out, result);
    io.out(json === true ? stringifyResult(result) : formatDiffusionBench(result));
  } finally {
    await engine.dispose();
  }
}

function sizeOf(name: string): SizeName {
  const size = SIZE_NAMES.find((known) => known === name);
  if (size !== undefined) return size;
  throw new UsageError(`unknown denoiser "${name}"`, { hint: `Known: ${SIZE_NAMES.join(", ")}.` });
}
