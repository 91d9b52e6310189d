/**
 * How well the model reconstructs pictures that are the same at every evaluation: L1, LPIPS, PSNR, and a sheet to look at.
 *
 * Where averages are kept, they are what is evaluated: the parameters of the program are named as the averages are, so that it reads
 * them where they lie.
 */
import type { Weights } from "@dcae/core/checkpoint";
import { createProgram, createScope, input, type Program, type Tensor } from "@dcae/core/graph";
import { type Image, makeGrid, psnr, tensorToImages } from "@dcae/core/image";
import type { Engine, EngineState } from "@dcae/core/runtime";
import { createPictureLoader, type WeightedSource } from "../data/index.js";
import type { EmaOptions } from "../optimizer/index.js";
import { type ReconstructionOptions, reconstructionLoss } from "../phases/index.js";
import type { Evaluation } from "./fit.js";
import { averagedScope, withAverageNames } from "./state-weights.js";

export interface ReconstructionEvaluation {
  readonly engine: Engine;
  readonly reconstruction: ReconstructionOptions;
  readonly sources: readonly WeightedSource[];
  /** Pictures; rounded up to whole batches. */
  readonly count: number;
  readonly seed: number;
  readonly ema: EmaOptions | null;
  readonly workers?: number | undefined;
}

/** Pictures on the sheet, each with its reconstruction below it. */
const SHOWN = 8;

function evaluationProgram({ reconstruction, ema }: ReconstructionEvaluation): Program {
  const root = createScope();
  const x = input("x", reconstruction.images);
  const y = reconstruction.reconstruct(averagedScope(root, ema), x);
  const { l1, lpips } = reconstructionLoss(root, x, y, reconstruction);
  return createProgram("evaluate", { y, l1, lpips });
}

/** Makes the evaluation of a run: pictures are loaded at the first one and kept. */
export function reconstructionEvaluation(
  options: ReconstructionEvaluation,
): (state: EngineState, weights: Weights) => Promise<Evaluation> {
  const { engine, reconstruction, count, seed, ema } = options;
  const { l1Weight = 1, lpipsWeight = 1, images } = reconstruction;
  const [batch, , size] = images;
  const rounds = Math.ceil(count / batch);
  const program = evaluationProgram(options);
  let pictures: Promise<Tensor[]> | undefined;

  async function load(): Promise<Tensor[]> {
    const { sources, workers } = options;
    const loader = createPictureLoader({ sources, batch, size, seed, shuffle: false, prefetch: 0, workers });
    try {
      const batches: Tensor[] = [];
      while (batches.length < rounds) batches.push((await loader.next()).images);
      return batches;
    } finally {
      await loader.close();
    }
  }

  return async (state, weights) => {
    pictures ??= load();
    const batches = await pictures;
    const loaded = await engine.load(program, withAverageNames(program, weights, ema), { state });
    const sums = { l1: 0, lpips: 0, psnr: 0 };
    const shown: [original: Image, result: Image][] = [];
    try {
      for (const x of batches) {
        const { y, l1, lpips } = (await loaded.run({ x })) as { y: Tensor; l1: Tensor; lpips: Tensor };
        sums.l1 += Number(l1.at()) / rounds;
        sums.lpips += Number(lpips.at()) / rounds;
        if (y.toFloat32().some(Number.isNaN)) return { metrics: { l1: Number.NaN } };
        const results = tensorToImages(y);
        tensorToImages(x).forEach((original, i) => {
          const result = results[i] as Image;
          sums.psnr += Math.min(psnr(original, result), 100) / (rounds * batch);
          if (shown.length < SHOWN) shown.push([original, result]);
        });
      }
    } finally {
      await loaded.dispose();
    }
    const sheet = makeGrid([...shown.map(([original]) => original), ...shown.map(([, result]) => result)], {
      columns: shown.length,
    });
    const { lpips, ...rest } = sums;
    return {
      metrics: lpipsWeight === 0 ? rest : sums,
      pictures: { reconstructions: sheet },
      score: l1Weight * sums.l1 + lpipsWeight * lpips,
    };
  };
}
