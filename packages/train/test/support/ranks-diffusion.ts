/** A tiny training of a diffusion model by ranks in one process. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeNpyFile } from "@dcae/core/checkpoint";
import { createRandom, Tensor } from "@dcae/core/graph";
import type { Engine } from "@dcae/core/runtime";
import { onRanks } from "@dcae/test-support/ranks";
import { parseDiffusionConfig } from "../../src/diffusion/diffusion-config.js";
import { trainDiffusion } from "../../src/diffusion/train-diffusion.js";

/** Updates of a run. */
export const STEPS = 2;
/** Latents: each is in every batch once. */
export const COUNT = 2;

/** Writes latents of noise. @param wrong the one that has a NaN, if any */
export async function makeLatents(path: string, wrong?: number): Promise<string> {
  for (let i = 0; i < COUNT; i++) {
    const values = createRandom(i).normal(new Float32Array(4 * 2 * 2));
    if (i === wrong) values[5] = Number.NaN;
    const place = join(path, i % 2 === 0 ? "cat" : "dog");
    await mkdir(place, { recursive: true });
    await writeNpyFile(join(place, `${i}.npy`), Tensor.float32(values, [4, 2, 2]));
  }
  return path;
}

/** Trains on `path`, evaluated on `validation`. @returns how it ended on each rank: "finished", or the error's message */
export async function trainDiffusionBy(
  count: number,
  directory: string,
  engine: Engine,
  { path, validation = path, accumulate }: { path: string; validation?: string; accumulate: number },
): Promise<string[]> {
  const config = parseDiffusionConfig(
    {
      ...{ name: "tiny", about: "for tests", batch: COUNT, accumulate, steps: STEPS, samples: null, evaluateOn: 2 },
      denoiser: { arch: "uvit", model: { patch_size: 1, hidden_size: 16, depth: 2, num_heads: 2 } },
      data: { path, validation },
      optimizer: { schedule: { kind: "constant", lr: 5e-4 }, clipNorm: 1, eps: 1e-3 },
      ema: { decay: 0.9, warmupSteps: 2 },
    },
    "test",
  );
  return onRanks(count, (ranks) =>
    trainDiffusion({ config, directory, engine, ranks }).then(
      ({ status }) => status,
      (error: Error) => error.message,
    ),
  );
}
