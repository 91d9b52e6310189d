/**
 * What nearest neighbors say about sets of features.
 *
 * Improved precision and recall (Kynkaanniemi et al., 2019): how much of one set lies within the manifold of the other,
 * where the manifold is the union of balls that reach to each point's k-th neighbor (evaluation.md section 6).
 */

import { ConfigError, DataError } from "@dcae/core";
import { plural } from "@dcae/core/internal";
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
  if (count <= k)
    throw new DataError(`precision and recall: among ${plural(count, "image")} none has ${plural(k, "neighbor")}`);
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
/**
 * Precision and recall of generated pictures by their nearest neighbors among the features (Kynkäänniemi et al., 2019).
 */
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

// Leave-one-out accuracy of k nearest neighbors on normalized features: how much a latent says about the class (evaluation.md
// section 8, last paragraph). Each neighbor votes with softmax(similarity / temperature).

export interface NeighborAccuracyOptions {
  readonly engine: Engine;
  /** Numbers of neighbors (default 1, 5, 10, 20). */
  readonly k?: readonly number[];
  /** Default 0.07. */
  readonly temperature?: number;
}

/**
 * Share of vectors whose class is that of the vote, for each k.
 *
 * @param labels class of each vector
 * @throws DataError when there are no more vectors than the largest k, or labels are missing
 */
export async function neighborAccuracy(
  features: VectorSet,
  labels: ArrayLike<number>,
  { engine, k = [1, 5, 10, 20], temperature = 0.07 }: NeighborAccuracyOptions,
): Promise<number[]> {
  const count = countOf(features);
  const most = Math.max(...k);
  if (!k.every((value) => Number.isInteger(value) && value >= 1))
    throw new ConfigError(`k: ${k} aren't positive integers`);
  if (labels.length !== count) throw new DataError(`neighbor accuracy: ${labels.length} labels for ${count} vectors`);
  if (count <= most) throw new DataError(`neighbor accuracy: ${count} vectors have no ${most} neighbors each`);
  const unit = normalized(features, count);
  const similarities = new Float64Array(count * most).fill(Number.NEGATIVE_INFINITY);
  const neighbors = new Int32Array(count * most);
  await forEachPair(unit, unit, { engine, kind: "dot-product" }, (block) => {
    for (let r = 0; r < block.rows; r++) {
      const row = block.rowStart + r;
      const end = (row + 1) * most - 1;
      for (let c = 0; c < block.columns; c++) {
        const column = block.columnStart + c;
        const similarity = block.values[r * block.stride + c] as number;
        if (column === row || similarity <= (similarities[end] as number)) continue;
        let at = end;
        for (; at > row * most && (similarities[at - 1] as number) < similarity; at--) {
          similarities[at] = similarities[at - 1] as number;
          neighbors[at] = neighbors[at - 1] as number;
        }
        similarities[at] = similarity;
        neighbors[at] = column;
      }
    }
  });
  return k.map((size) => {
    let correct = 0;
    for (let row = 0; row < count; row++) {
      const votes = new Map<number, number>();
      const nearest = similarities[row * most] as number;
      for (let n = row * most; n < row * most + size; n++) {
        const label = labels[neighbors[n] as number] as number;
        // The same weights as softmax up to a factor of the whole row.
        const weight = Math.exp(((similarities[n] as number) - nearest) / temperature);
        votes.set(label, (votes.get(label) ?? 0) + weight);
      }
      const [winner] = [...votes].reduce((best, entry) => (entry[1] > best[1] ? entry : best));
      if (winner === labels[row]) correct++;
    }
    return correct / count;
  });
}

function normalized({ data, dimensions }: VectorSet, count: number): VectorSet {
  const out = new Float32Array(data.length);
  for (let i = 0; i < count; i++) {
    let sum = 0;
    for (let j = i * dimensions; j < (i + 1) * dimensions; j++) sum += (data[j] as number) ** 2;
    const scale = 1 / Math.max(Math.sqrt(sum), 1e-12);
    for (let j = i * dimensions; j < (i + 1) * dimensions; j++) out[j] = (data[j] as number) * scale;
  }
  return { data: out, dimensions };
}
