/**
 * Export of a denoiser to ONNX: one forward pass with dynamic batch, for samplers elsewhere. As with autoencoders, what was written is
 * loaded again and compared with the model itself before it gets its name.
 */
import { mkdir } from "node:fs/promises";
import type { ExportOptions } from "@dcae/core";
import { writeDirectoryAtomic } from "@dcae/core/checkpoint";
import { createRandom, sizeOf, symbol, Tensor } from "@dcae/core/graph";
import { isExportFile, type VerifiedPart, writeExportSummary, writeVerifiedOnnx } from "@dcae/core/internal";
import { createEngine } from "@dcae/core/runtime";
import { buildDenoiseProgram } from "../denoisers/denoise.js";
import { latentShape } from "../denoisers/presets.js";
import { toDenoiserConfig } from "./denoiser-checkpoint.js";
import type { OpenedDenoiser } from "./opened-denoiser.js";
import { LAST_TIME, loadDenoiser } from "./sample-latents.js";

/** Options of `exportDenoiser`. */
export interface ExportDenoiserOptions extends Pick<ExportOptions, "dtype" | "maxInlineBytes" | "overwrite"> {
  /** CPU threads of the model that the file is compared with. */
  readonly threads?: number | undefined;
  readonly onProgress?: ((stage: "write" | "verify", fraction: number) => void) | undefined;
}

/** What `exportDenoiser` wrote. */
export interface ExportedDenoiser {
  /** Names relative to the folder, the model last. */
  readonly files: readonly string[];
  /** Largest difference from the model itself, relative to the largest value, over the batches that were tried. */
  readonly difference: number;
}

/** Batches that verification runs. */
const VERIFIED_BATCHES = [1, 3] as const;

/**
 * Writes `denoiser.onnx` and `export.json` into `directory`; large weights go to `denoiser.onnx_data` beside the model. Inputs are `x`
 * [batch, C, S, S], the model times `t` [batch] and, where there are classes, `labels` int32 [batch] (the null class is the last one);
 * the output is `y`. `x` is in the scale that the network works in, which `export.json` says.
 *
 * @throws EngineError when the written file doesn't reproduce the model, DataError when the folder can't be written
 * @example
 * ```ts
 * import { exportDenoiser, openDenoiser } from "@dcae/diffusion";
 *
 * const opened = await openDenoiser("usit-scenes");
 * const { files } = await exportDenoiser(opened, "onnx");
 * console.log(files); // denoiser.onnx is the last
 * await opened.weights.close();
 * ```
 */
export async function exportDenoiser(
  { description, weights }: Pick<OpenedDenoiser, "description" | "weights">,
  directory: string,
  { dtype = "float32", maxInlineBytes, overwrite, threads, onProgress }: ExportDenoiserOptions = {},
): Promise<ExportedDenoiser> {
  const { config } = description;
  const engine = await createEngine({ device: "cpu", ...(threads === undefined ? {} : { threads }) });
  const denoiser = loadDenoiser(engine, weights, config);
  const caseOf = (batch: number) => async () => {
    const random = createRandom(0, `export denoiser ${batch}`);
    const shape = latentShape(config, batch);
    const x = Tensor.float32(random.normal(new Float32Array(sizeOf(shape))), shape);
    const last = LAST_TIME[description.recipe.trainScheduler];
    const t = Tensor.float32(Float32Array.from({ length: batch }, (_, i) => (last * (i + 1)) / (batch + 1)));
    const labels =
      config.numClasses === 0
        ? undefined
        : new Tensor(
            "int32",
            Int32Array.from({ length: batch }, (_, i) => i % config.numClasses),
            [batch],
          );
    const inputs = new Map<string, Tensor>([
      ["x", x],
      ["t", t],
    ]);
    if (labels !== undefined) inputs.set("labels", labels);
    return { inputs, expected: await denoiser.forward(x, t, labels) };
  };
  const about = toDenoiserConfig(description);
  const part: VerifiedPart = {
    name: "denoiser",
    program: buildDenoiseProgram(config, symbol("batch")),
    weights,
    metadata: { kind: "denoiser", config: JSON.stringify(about) },
    cases: VERIFIED_BATCHES.map(caseOf),
  };
  try {
    return await writeDirectoryAtomic(
      directory,
      async (folder) => {
        await mkdir(folder, { recursive: true });
        const exported = await writeVerifiedOnnx(part, folder, { dtype, maxInlineBytes, onProgress });
        await writeExportSummary(folder, { kind: "denoiser", config: about, dtype, ...exported });
        return exported;
      },
      { overwrite, isOldContent: isExportFile },
    );
  } finally {
    await denoiser.dispose();
    await engine.dispose();
  }
}
