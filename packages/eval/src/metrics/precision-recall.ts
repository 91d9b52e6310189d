/**
 * Improved precision and recall (Kynkaanniemi et al., 2019): how much of one set lies within the manifold of the other,
 * where the manifold is the union of balls that reach to each point's k-th neighbor (evaluation.md section 6).
 */
import { DataError } from "@dcae/core";
import type { Engine } from "@dcae/core/runtime";
import { countOf, forEachPair, type VectorSet } from "./pairwise.js";

export interface PrecisionRecall {
  /** Fraction of generated vectors inside of at least one reference ball. */
  readonly precision: number;
  /** Fraction of reference vectors inside of at least one generated ball. */
  readonly recall: number;
}

export interface PrecisionRecallOptions {
  readonly engine: Engine;
  /** Neighbors (default 3). */
  readonly k?: number;
  /** Called with the share that is done, 0 to 1. */
  readonly onProgress?: (share: number) => void;
}

/**
 * Squared distance of each vector to its k-th nearest other one: the (k + 1)-th smallest distance to the set itself.
 *
 * @throws DataError when the set has no more than k vectors
 */
export async function neighborRadii(
  set: VectorSet,
  { engine, k = 3, onProgress }: PrecisionRecallOptions,
): Promise<Float32Array> {
  const count = countOf(set);
  if (count <= k) throw new DataError(`precision and recall: ${count} images have no ${k} neighbors each`);
  const kept = k + 1;
  // The smallest distances of each row, ascending.
  const smallest = new Float32Array(count * kept).fill(Number.POSITIVE_INFINITY);
  const report = onProgress && ((done: number, total: number) => onProgress(done / total));
  await forEachPair(set, set, { engine, kind: "squared-distance", onProgress: report }, (block) => {
    for (let r = 0; r < block.rows; r++) {
      const start = (block.rowStart + r) * kept;
      const end = start + k;
      for (let c = 0; c < block.columns; c++) {
        const distance = block.values[r * block.stride + c] as number;
        if (distance >= (smallest[end] as number)) continue;
        let at = end;
        for (; at > start && (smallest[at - 1] as number) > distance; at--) smallest[at] = smallest[at - 1] as number;
        smallest[at] = distance;
      }
    }
  });
  return Float32Array.from({ length: count }, (_, i) => smallest[i * kept + k] as number);
}

/** @throws DataError when a set has no more than k vectors, ShapeError when their dimensions differ */
export async function precisionRecall(
  reference: VectorSet,
  generated: VectorSet,
  options: PrecisionRecallOptions,
): Promise<PrecisionRecall> {
  const { engine, onProgress } = options;
  const [references, samples] = [countOf(reference), countOf(generated)];
  const work = [references * references, samples * samples, references * samples] as const;
  const total = work[0] + work[1] + work[2];
  const phase = (before: number, size: number) =>
    onProgress === undefined ? {} : { onProgress: (share: number) => onProgress((before + share * size) / total) };
  const ofReference = await neighborRadii(reference, { ...options, ...phase(0, work[0]) });
  const ofGenerated = await neighborRadii(generated, { ...options, ...phase(work[0], work[1]) });
  const precise = new Uint8Array(samples);
  const recalled = new Uint8Array(references);
  const last = phase(work[0] + work[1], work[2]).onProgress;
  await forEachPair(
    generated,
    reference,
    { engine, kind: "squared-distance", onProgress: last && ((done, all) => last(done / all)) },
    ({ values, stride, rowStart, columnStart, rows, columns }) => {
      for (let r = 0; r < rows; r++) {
        const radius = ofGenerated[rowStart + r] as number;
        for (let c = 0; c < columns; c++) {
          const distance = values[r * stride + c] as number;
          if (distance <= (ofReference[columnStart + c] as number)) precise[rowStart + r] = 1;
          if (distance <= radius) recalled[columnStart + c] = 1;
        }
      }
    },
  );
  const share = (flags: Uint8Array) => flags.reduce((sum, flag) => sum + flag, 0) / flags.length;
  return { precision: share(precise), recall: share(recalled) };
}
