/**
 * tr sqrt(S1 S2) of two covariances, as the sum of the singular values of F1^T F2 with S = F F^T.
 *
 * The eigenvalues of S1 S2 = F1 (F1^T F2) F2^T are the squared singular values of F1^T F2, so nothing has to be squared
 * and rooted again: the error is rounding times the largest singular value, where eigenvalues of a product lose half
 * of the digits of each small one. Singular matrices only make F narrower.
 *
 * A factor F comes from Cholesky's method with complete pivoting. It works for singular matrices: it ends when what is left is
 * rounding noise, and the number of columns is the numerical rank. Source: Higham, Analysis of the Cholesky decomposition of a
 * semi-definite matrix (1990).
 */
import { DataError } from "@dcae/core";
import { singularValues } from "./singular-values.js";

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
  const rows = new Float64Array(size * size);
  const extent = new Int32Array(size);
  let open = wholeMatrix(matrix, size);
  let rank = 0;
  for (let full = true; full && open.size > 0; ) {
    const block = factorBlock(open, tolerance);
    block.pivots.forEach((pivot, k) => {
      for (let i = 0; i < open.size; i++) {
        rows[(open.ids[i] as number) * size + rank + k] = block.columns[i * BLOCK + k] as number;
      }
      extent[open.ids[pivot] as number] = rank + k + 1;
    });
    rank += block.pivots.length;
    full = block.pivots.length === BLOCK;
    open = withoutBlock(open, block);
  }
  for (const id of open.ids) extent[id] = rank;
  const lowest = open.remaining.reduce((least, value) => Math.min(least, value), 0);
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

/** What isn't factored yet: the Schur complement of the pivots so far, its lower triangle only. */
interface OpenMatrix {
  readonly size: number;
  /** [size, size], row-major. */
  readonly lower: Float64Array;
  /** Its diagonal, kept up to date while a block is factored. */
  readonly remaining: Float64Array;
  /** Original indices. */
  readonly ids: Int32Array;
}

interface FactoredBlock {
  /** Positions in the open matrix, in order; fewer than BLOCK at the end. */
  readonly pivots: readonly number[];
  /** Elements of the factor, [size, BLOCK]. */
  readonly columns: Float64Array;
}

/** Columns that are factored before the rest of the matrix is updated, which then stays in the cache. */
const BLOCK = 64;

function wholeMatrix(matrix: Float64Array, size: number): OpenMatrix {
  const lower = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      lower[i * size + j] = ((matrix[i * size + j] as number) + (matrix[j * size + i] as number)) / 2;
    }
  }
  const remaining = Float64Array.from({ length: size }, (_, i) => lower[i * size + i] as number);
  return { size, lower, remaining, ids: Int32Array.from({ length: size }, (_, i) => i) };
}

/** Up to BLOCK columns of the factor, largest remaining variance first. */
function factorBlock({ size, lower, remaining }: OpenMatrix, tolerance: number): FactoredBlock {
  const columns = new Float64Array(size * BLOCK);
  const used = new Uint8Array(size);
  const pivots: number[] = [];
  for (let k = 0; k < Math.min(BLOCK, size); k++) {
    let pivot = -1;
    for (let i = 0; i < size; i++) {
      if (used[i] === 0 && (pivot < 0 || (remaining[i] as number) > (remaining[pivot] as number))) pivot = i;
    }
    const variance = remaining[pivot] as number;
    if (!(variance > tolerance)) break;
    used[pivot] = 1;
    pivots.push(pivot);
    const root = Math.sqrt(variance);
    const pivotStart = pivot * BLOCK;
    for (let i = 0; i < size; i++) {
      if (used[i] === 1) continue;
      let value = (i > pivot ? lower[i * size + pivot] : lower[pivot * size + i]) as number;
      const start = i * BLOCK;
      for (let j = 0; j < k; j++) value -= (columns[start + j] as number) * (columns[pivotStart + j] as number);
      value /= root;
      columns[start + k] = value;
      remaining[i] = (remaining[i] as number) - value * value;
    }
    columns[pivotStart + k] = root;
  }
  return { pivots, columns };
}

/** The open matrix without the pivots of a block, less what the block explains. Four elements at a time. */
function withoutBlock(open: OpenMatrix, { pivots, columns }: FactoredBlock): OpenMatrix {
  const chosen = new Set(pivots);
  const kept = Int32Array.from(open.ids.keys()).filter((i) => !chosen.has(i));
  const size = kept.length;
  const lower = new Float64Array(size * size);
  // Rows of the kept columns side by side.
  const part = new Float64Array(size * BLOCK);
  kept.forEach((from, i) => {
    part.set(columns.subarray(from * BLOCK, (from + 1) * BLOCK), i * BLOCK);
  });
  for (let i = 0; i < size; i++) {
    const source = (kept[i] as number) * open.size;
    const row = i * BLOCK;
    let c = 0;
    for (; c + 3 <= i; c += 4) {
      const c0 = c * BLOCK;
      const c1 = c0 + BLOCK;
      const c2 = c1 + BLOCK;
      const c3 = c2 + BLOCK;
      let s0 = 0;
      let s1 = 0;
      let s2 = 0;
      let s3 = 0;
      for (let j = 0; j < BLOCK; j++) {
        const value = part[row + j] as number;
        s0 += value * (part[c0 + j] as number);
        s1 += value * (part[c1 + j] as number);
        s2 += value * (part[c2 + j] as number);
        s3 += value * (part[c3 + j] as number);
      }
      const to = i * size + c;
      lower[to] = (open.lower[source + (kept[c] as number)] as number) - s0;
      lower[to + 1] = (open.lower[source + (kept[c + 1] as number)] as number) - s1;
      lower[to + 2] = (open.lower[source + (kept[c + 2] as number)] as number) - s2;
      lower[to + 3] = (open.lower[source + (kept[c + 3] as number)] as number) - s3;
    }
    for (; c <= i; c++) {
      let sum = 0;
      for (let j = 0; j < BLOCK; j++) sum += (part[row + j] as number) * (part[c * BLOCK + j] as number);
      lower[i * size + c] = (open.lower[source + (kept[c] as number)] as number) - sum;
    }
  }
  return {
    size,
    lower,
    remaining: Float64Array.from(kept, (i) => open.remaining[i] as number),
    ids: Int32Array.from(kept, (i) => open.ids[i] as number),
  };
}

function compact(rows: Float64Array, size: number, rank: number): Float64Array {
  if (rank === size) return rows;
  const factor = new Float64Array(size * rank);
  for (let i = 0; i < size; i++) factor.set(rows.subarray(i * size, i * size + rank), i * rank);
  return factor;
}

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
