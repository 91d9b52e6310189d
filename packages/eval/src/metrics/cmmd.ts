/**
 * CMMD: squared maximum mean discrepancy between CLIP embeddings under a Gaussian kernel (Jayasumana et al., 2024;
 * evaluation.md section 7). Biased estimate, diagonals included, times 1000.
 *
 * For unit vectors every kernel value is near 1 and the result is what is left in the fifth digit. So k - 1 is summed
 * (the ones cancel: 1 + 1 - 2), in float64, from distances in float64.
 */
import { DataError } from "@dcae/core";
import type { Engine } from "@dcae/core/runtime";
import { countOf, forEachPair, type VectorSet } from "./pairwise.js";

const SIGMA = 10;
const SCALE = 1000;

export interface CmmdOptions {
  /** Must compute in float64, which the cpu device does. */
  readonly engine: Engine;
  readonly onProgress?: (share: number) => void;
}

export interface CmmdResult {
  readonly value: number;
  /** Vectors per set that were used: the longer set is cut to the length of the shorter one. */
  readonly count: number;
}

/** @throws DataError when a set is empty, ShapeError when the dimensions differ */
/**
 * CMMD: the maximum mean discrepancy of two sets of CLIP vectors, of as many of each as the smaller set has.
 *
 * @throws DataError when a set is empty
 */
export async function cmmd(x: VectorSet, y: VectorSet, { engine, onProgress }: CmmdOptions): Promise<CmmdResult> {
  const count = Math.min(countOf(x), countOf(y));
  if (count === 0) throw new DataError("CMMD: a set is empty");
  const first = (set: VectorSet): VectorSet => ({ ...set, data: set.data.subarray(0, count * set.dimensions) });
  const pairs = [
    [first(x), first(x), 1],
    [first(y), first(y), 1],
    [first(x), first(y), -2],
  ] as const;
  let value = 0;
  for (const [i, [a, b, weight]] of pairs.entries()) {
    let sum = 0;
    await forEachPair(
      a,
      b,
      {
        engine,
        kind: "squared-distance",
        dtype: "float64",
        onProgress: onProgress && ((done, total) => onProgress((i + done / total) / pairs.length)),
      },
      ({ values, stride, rows, columns }) => {
        for (let r = 0; r < rows; r++) {
          let rowSum = 0;
          for (let c = 0; c < columns; c++)
            rowSum += Math.expm1(-(values[r * stride + c] as number) / (2 * SIGMA ** 2));
          sum += rowSum;
        }
      },
    );
    value += (weight * sum) / (count * count);
  }
  return { value: SCALE * value, count };
}
