/**
 * A factor F of a covariance, S = F F^T, by Cholesky's method with complete pivoting.
 *
 * Works for singular matrices: it ends when what is left is rounding noise, and the number of columns is the numerical
 * rank. Source: Higham, Analysis of the Cholesky decomposition of a semi-definite matrix (1990).
 */
import { DataError } from "@dcae/core";

export interface CholeskyFactor {
  /** [size, rank], row-major, rows in the order of the matrix. */
  readonly factor: Float64Array;
  readonly size: number;
  readonly rank: number;
  /** Elements of each row that aren't structurally 0: row i ends after `extent[i]` columns. */
  readonly extent: Int32Array;
  /** Most negative diagonal element that was left, relative to the largest one of the matrix; 0 where none is negative. */
  readonly negativity: number;
}

/** Negative remainders beyond this share of the largest variance are not rounding: the matrix is no covariance. */
const INDEFINITE = 1e-3;

/**
 * Factors a symmetric positive semi-definite matrix [size, size] (row-major; the mean of both triangles is used).
 *
 * @param noise relative size of the rounding errors in the elements (2^-53 for float64, 2^-24 for values that were
 *   stored as float32); decides what counts as 0
 * @throws DataError when the matrix has values that aren't finite or is clearly not positive semi-definite
 */
export function pivotedCholesky(
  matrix: Float64Array,
  size: number,
  { noise = 2 ** -53, name = "matrix" }: { readonly noise?: number; readonly name?: string } = {},
): CholeskyFactor {
  const scale = largestDiagonal(matrix, size, name);
  // float64: Higham's bound. float32 files carry independent rounding of each element, which adds up as a random walk.
  const tolerance = scale * noise * (noise > 2 ** -50 ? Math.sqrt(size) : size);
  // Row i of `rows` is row i of the factor while it grows; columns are computed one after the other (left-looking).
  const rows = new Float64Array(size * size);
  const remaining = new Float64Array(size);
  for (let i = 0; i < size; i++) remaining[i] = matrix[i * size + i] as number;
  const extent = new Int32Array(size);
  const open = Int32Array.from({ length: size }, (_, i) => i);
  let rank = 0;
  for (; rank < size; rank++) {
    const at = largestRemaining(remaining, open, rank);
    const pivot = open[at] as number;
    const variance = remaining[pivot] as number;
    if (variance <= tolerance) break;
    open[at] = open[rank] as number;
    open[rank] = pivot;
    const root = Math.sqrt(variance);
    const pivotRow = rows.subarray(pivot * size, pivot * size + rank + 1);
    for (let p = rank + 1; p < size; p++) {
      const i = open[p] as number;
      const start = i * size;
      const sum = dot(rows, start, pivotRow, rank);
      const element = ((matrix[start + pivot] as number) + (matrix[pivot * size + i] as number)) / 2;
      const value = (element - sum) / root;
      rows[start + rank] = value;
      remaining[i] = (remaining[i] as number) - value * value;
    }
    pivotRow[rank] = root;
    extent[pivot] = rank + 1;
  }
  let lowest = 0;
  for (let p = rank; p < size; p++) {
    const i = open[p] as number;
    extent[i] = rank;
    lowest = Math.min(lowest, remaining[i] as number);
  }
  if (-lowest > INDEFINITE * scale) {
    throw new DataError(
      `${name} isn't a covariance: it has a negative eigenvalue of at least ${lowest.toExponential(2)} ` +
        `beside variances of up to ${scale.toExponential(2)}`,
      { hint: "Compute the statistics again; a covariance is positive semi-definite." },
    );
  }
  return { factor: compact(rows, size, rank), size, rank, extent, negativity: scale === 0 ? 0 : -lowest / scale };
}

function largestDiagonal(matrix: Float64Array, size: number, name: string): number {
  for (let i = 0; i < size * size; i++) {
    if (!Number.isFinite(matrix[i])) {
      throw new DataError(`${name} has ${matrix[i]} at [${Math.floor(i / size)}, ${i % size}]`, {
        hint: "Features or images with invalid numbers went into it; compute the statistics again.",
      });
    }
  }
  let largest = 0;
  for (let i = 0; i < size; i++) largest = Math.max(largest, matrix[i * size + i] as number);
  return largest;
}

function largestRemaining(remaining: Float64Array, open: Int32Array, from: number): number {
  let best = from;
  for (let p = from + 1; p < open.length; p++) {
    if ((remaining[open[p] as number] as number) > (remaining[open[best] as number] as number)) best = p;
  }
  return best;
}

/** Four sums side by side, since one would wait for itself at each addition. */
function dot(a: Float64Array, start: number, b: Float64Array, length: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let j = 0;
  for (; j + 3 < length; j += 4) {
    s0 += (a[start + j] as number) * (b[j] as number);
    s1 += (a[start + j + 1] as number) * (b[j + 1] as number);
    s2 += (a[start + j + 2] as number) * (b[j + 2] as number);
    s3 += (a[start + j + 3] as number) * (b[j + 3] as number);
  }
  for (; j < length; j++) s0 += (a[start + j] as number) * (b[j] as number);
  return s0 + s1 + (s2 + s3);
}

function compact(rows: Float64Array, size: number, rank: number): Float64Array {
  if (rank === size) return rows;
  const factor = new Float64Array(size * rank);
  for (let i = 0; i < size; i++) factor.set(rows.subarray(i * size, i * size + rank), i * rank);
  return factor;
}
