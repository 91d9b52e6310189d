/**
 * tr sqrt(S1 S2) of two covariances, as the sum of the singular values of F1^T F2 with S = F F^T.
 *
 * The eigenvalues of S1 S2 = F1 (F1^T F2) F2^T are the squared singular values of F1^T F2, so nothing has to be squared
 * and rooted again: the error is rounding times the largest singular value, where eigenvalues of a product lose half
 * of the digits of each small one. Singular matrices only make F narrower.
 */
import type { CholeskyFactor } from "./pivoted-cholesky.js";
import { singularValues } from "./singular-values.js";

/** Sum of the singular values of F1^T F2. */
export function nuclearNormOfProduct(first: CholeskyFactor, second: CholeskyFactor): number {
  if (first.rank === 0 || second.rank === 0) return 0;
  const values = singularValues(crossProduct(first, second), first.rank, second.rank);
  // Smallest first: the sum of many small ones isn't lost beside a large one.
  return values.reduceRight((sum, value) => sum + value, 0);
}

/** Rows of the result that are finished before the next ones: they stay in the cache. */
const TILE = 32;

/** F1^T F2, [rank1, rank2]: a sum of outer products of rows, four of them per pass over a tile of the result. */
function crossProduct(first: CholeskyFactor, second: CholeskyFactor): Float64Array {
  const { rank: rows, size } = first;
  const { rank: columns } = second;
  const out = new Float64Array(rows * columns);
  // Rows of similar extent together waste little.
  const order = Int32Array.from({ length: size }, (_, i) => i).sort(
    (i, j) => extentOf(first, i) + extentOf(second, i) - extentOf(first, j) - extentOf(second, j),
  );
  for (let start = 0; start < rows; start += TILE) {
    for (let p = 0; p < size; p += 4) addProducts(out, first, second, order.subarray(p, p + 4), start, start + TILE);
  }
  return out;
}

/** Adds the outer products of up to four rows to rows `start` to `end` of the result. */
function addProducts(
  out: Float64Array,
  first: CholeskyFactor,
  second: CholeskyFactor,
  indices: Int32Array,
  start: number,
  end: number,
): void {
  const { factor: a, rank: rows } = first;
  const { factor: b, rank: columns } = second;
  const i0 = indices[0] as number;
  // Missing ones are a repeated row with weight 0.
  const i1 = indices[1] ?? i0;
  const i2 = indices[2] ?? i0;
  const i3 = indices[3] ?? i0;
  const used = indices.length;
  const height = Math.max(extentOf(first, i0), extentOf(first, i1), extentOf(first, i2), extentOf(first, i3));
  const width = Math.max(extentOf(second, i0), extentOf(second, i1), extentOf(second, i2), extentOf(second, i3));
  const b0 = i0 * columns;
  const b1 = i1 * columns;
  const b2 = i2 * columns;
  const b3 = i3 * columns;
  for (let r = start; r < Math.min(end, height); r++) {
    const a0 = a[i0 * rows + r] as number;
    const a1 = used > 1 ? (a[i1 * rows + r] as number) : 0;
    const a2 = used > 2 ? (a[i2 * rows + r] as number) : 0;
    const a3 = used > 3 ? (a[i3 * rows + r] as number) : 0;
    const to = r * columns;
    for (let c = 0; c < width; c++) {
      out[to + c] =
        (out[to + c] as number) +
        (a0 * (b[b0 + c] as number) +
          a1 * (b[b1 + c] as number) +
          a2 * (b[b2 + c] as number) +
          a3 * (b[b3 + c] as number));
    }
  }
}

function extentOf(factor: CholeskyFactor, row: number): number {
  return factor.extent[row] as number;
}
