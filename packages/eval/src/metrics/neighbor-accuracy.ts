/**
 * Leave-one-out accuracy of k nearest neighbors on normalized features: how much a latent says about the class
 * (evaluation.md section 8, last paragraph). Each neighbor votes with softmax(similarity / temperature).
 */
import { ConfigError, DataError } from "@dcae/core";
import type { Engine } from "@dcae/core/runtime";
import { countOf, forEachPair, type VectorSet } from "./pairwise.js";

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
