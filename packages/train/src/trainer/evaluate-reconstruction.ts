/**
 * How well the model reconstructs pictures that are the same at every evaluation: L1, the perceptual distance, PSNR, and a sheet to look at. Each picture
 * counts once, however many there are to a batch.
 *
 * Where averages are kept, they are what is evaluated: the parameters of the program are named as the averages are, so that it reads
 * them where they lie.
 */
import type { Weights } from "@dcae/core/checkpoint";
import {
  abs,
  createProgram,
  createScope,
  input,
  type Program,
  reduceMean,
  reshape,
  sub,
  Tensor,
  type Value,
} from "@dcae/core/graph";
import { type Image, makeGrid, psnr, tensorToImages } from "@dcae/core/image";
import type { Engine, EngineState, LoadedProgram, NamedTensors } from "@dcae/core/runtime";
import { CHANNEL_MASK } from "../data/channel-counts.js";
import { createPictureLoader, type WeightedSource } from "../data/picture-loader.js";
import { lpipsPerceptual } from "../phases/perceptual.js";
import type { ReconstructionLossOptions } from "../phases/reconstruction.js";
import { averagedScope, type EmaOptions, withAverageNames } from "../step/averages.js";
import type { Evaluation } from "./fit.js";
import type { PictureSet, SetMetrics } from "./set-metrics.js";

export interface ReconstructionEvaluation {
  readonly engine: Engine;
  readonly reconstruction: ReconstructionLossOptions;
  readonly sources: readonly WeightedSource[];
  /** Pictures at most: none is taken twice. */
  readonly count: number;
  readonly seed: number;
  readonly ema: EmaOptions | null;
  /** Where `reconstruct` takes a mask of channels: masks by the counts to evaluate with. */
  readonly masks?: ReadonlyMap<number, Tensor> | undefined;
  /** Distances of the whole set. */
  readonly setMetrics?: SetMetrics | undefined;
  readonly workers?: number | undefined;
  /** Hears of each unreadable picture. */
  readonly onCorrupt?: ((name: string, problem: string) => void) | undefined;
}

/** Pictures on the sheet, each with its reconstruction below it. */
const SHOWN = 8;

/** `y` [N, 3, H, W], and per picture `l1` [N] and, where a perceptual distance takes part, `distance` [N]. */
function evaluationProgram({ reconstruction, ema }: ReconstructionEvaluation): Program {
  const root = createScope();
  const x = input("x", reconstruction.images);
  const y = reconstruction.reconstruct(averagedScope(root, ema), x);
  const outputs: Record<string, Value> = { y, l1: reduceMean(abs(sub(x, y)), [1, 2, 3]) };
  if (reconstruction.lpipsWeight !== 0) {
    const { perceptual = lpipsPerceptual() } = reconstruction;
    outputs.distance = reshape(perceptual.distance(root, y, x), [-1]);
  }
  return createProgram("evaluate", outputs);
}

/** How many pictures of each source make up `count`: by their shares, and none twice. */
export function shareOut(sources: readonly WeightedSource[], count: number): number[] {
  const taken = sources.map(() => 0);
  for (let n = 0; n < count; n++) {
    // The source that is furthest behind its share.
    const next = sources.reduce<{ readonly i: number; readonly behind: number } | undefined>((best, source, i) => {
      const { source: pictures, weight = pictures.count } = source;
      const has = taken[i] as number;
      if (weight === 0 || has >= pictures.count) return best;
      const behind = weight / (has + 1);
      return best === undefined || behind > best.behind ? { i, behind } : best;
    }, undefined);
    if (next === undefined) break;
    taken[next.i] = (taken[next.i] as number) + 1;
  }
  return taken;
}

/** The first readable pictures of each source, each [3, H, W] in [-1, 1]. */
async function loadPictures(options: ReconstructionEvaluation): Promise<Float32Array[]> {
  const { sources, count, seed, workers, onCorrupt, reconstruction } = options;
  const [, , size] = reconstruction.images;
  const pictures: Float32Array[] = [];
  for (const [i, batch] of shareOut(sources, count).entries()) {
    const { source } = sources[i] as WeightedSource;
    if (batch === 0) continue;
    const loader = createPictureLoader({
      ...{ sources: [{ source }], batch, size, seed, shuffle: false, prefetch: 0 },
      ...{ workers, onCorrupt },
    });
    try {
      const { images, position } = await loader.next();
      const values = images.toFloat32();
      // Where some can't be read, the loader began again to fill the batch.
      const readable = Math.min(batch, source.count - position.corrupt.length);
      for (let n = 0; n < readable; n++) {
        pictures.push(values.slice((n * values.length) / batch, ((n + 1) * values.length) / batch));
      }
    } finally {
      await loader.close();
    }
  }
  return pictures;
}

/** `pictures` as a batch of the program's shape; what is left over of it repeats the first one. */
function toBatch(pictures: readonly Float32Array[], shape: readonly number[]): Tensor {
  const [batch = 0, ...rest] = shape;
  const size = rest.reduce((product, side) => product * side, 1);
  const data = new Float32Array(batch * size);
  for (let i = 0; i < batch; i++) data.set((pictures[i] ?? pictures[0]) as Float32Array, i * size);
  return Tensor.float32(data, shape);
}

/** Makes the evaluation of a run: pictures are loaded at the first one and kept. */
export function reconstructionEvaluation(
  options: ReconstructionEvaluation,
): (state: EngineState, weights: Weights) => Promise<Evaluation> {
  const { engine, ema, masks, setMetrics } = options;
  const program = evaluationProgram(options);
  let pictures: Promise<Float32Array[]> | undefined;
  let originals: Promise<PictureSet> | undefined;

  return async (state, weights) => {
    pictures ??= loadPictures(options);
    const all = await pictures;
    if (setMetrics !== undefined) originals ??= collectOriginals(options, setMetrics, all);
    const before = await originals;
    const loaded = await engine.load(program, withAverageNames(program, weights, ema), { state });
    try {
      if (masks === undefined) return await evaluateLoaded(options, loaded, all, before, {});
      const found: [count: number, evaluation: Evaluation][] = [];
      for (const [count, mask] of masks) {
        found.push([count, await evaluateLoaded(options, loaded, all, before, { [CHANNEL_MASK]: mask })]);
      }
      return joinCounts(found);
    } finally {
      await loaded.dispose();
    }
  };
}

/** The evaluations of several counts of channels as one: their metrics and pictures by count, the mean of their scores. */
export function joinCounts(found: readonly (readonly [count: number, evaluation: Evaluation])[]): Evaluation {
  const byCount = <T>(of: (evaluation: Evaluation) => Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(
      found.flatMap(([count, evaluation]) =>
        Object.entries(of(evaluation)).map(([name, value]) => [`${name}_c${count}`, value] as const),
      ),
    );
  const scores = found.map(([, { score }]) => score ?? Number.NaN);
  return {
    metrics: byCount(({ metrics }) => metrics),
    pictures: byCount(({ pictures = {} }) => pictures),
    score: scores.reduce((sum, score) => sum + score, 0) / scores.length,
  };
}

/** The pictures as a set, which reconstructions are compared with at every evaluation. */
async function collectOriginals(
  { reconstruction: { images } }: ReconstructionEvaluation,
  setMetrics: SetMetrics,
  all: readonly Float32Array[],
): Promise<PictureSet> {
  const set = setMetrics.collect();
  for (let start = 0; start < all.length; start += images[0]) {
    const part = all.slice(start, start + images[0]);
    await set.add(tensorToImages(toBatch(part, images)).slice(0, part.length));
  }
  return set;
}

async function evaluateLoaded(
  { reconstruction, setMetrics }: ReconstructionEvaluation,
  loaded: LoadedProgram,
  all: readonly Float32Array[],
  originalSet: PictureSet | undefined,
  more: NamedTensors,
): Promise<Evaluation> {
  const { l1Weight = 1, lpipsWeight = 1, perceptual = lpipsPerceptual(), images } = reconstruction;
  const made = setMetrics?.collect();
  const [batch] = images;
  const sums = { l1: 0, distance: 0, psnr: 0 };
  const shown: [original: Image, result: Image][] = [];
  for (let start = 0; start < all.length; start += batch) {
    const part = all.slice(start, start + batch);
    const x = toBatch(part, images);
    const { y, ...losses } = (await loaded.run({ x, ...more })) as { y: Tensor; l1: Tensor; distance?: Tensor };
    if (y.toFloat32().some(Number.isNaN)) return { metrics: { l1: Number.NaN } };
    const [l1, distances] = [losses.l1.toFloat32(), losses.distance?.toFloat32()];
    const [originals, results] = [tensorToImages(x), tensorToImages(y)];
    await made?.add(results.slice(0, part.length));
    for (let i = 0; i < part.length; i++) {
      const [original, result] = [originals[i] as Image, results[i] as Image];
      sums.l1 += (l1[i] as number) / all.length;
      sums.distance += (distances?.[i] ?? 0) / all.length;
      sums.psnr += Math.min(psnr(original, result), 100) / all.length;
      if (shown.length < SHOWN) shown.push([original, result]);
    }
  }
  const sheet = makeGrid([...shown.map(([original]) => original), ...shown.map(([, result]) => result)], {
    columns: shown.length,
  });
  const { distance, ...rest } = sums;
  return {
    metrics: {
      ...rest,
      ...(lpipsWeight === 0 ? {} : { [perceptual.name]: distance }),
      ...(made && (await setMetrics?.compare(made, originalSet))),
    },
    pictures: { reconstructions: sheet },
    score: l1Weight * sums.l1 + lpipsWeight * distance,
  };
}
