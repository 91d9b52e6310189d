/**
 * Singular values of a dense matrix: Householder bidiagonalization (Golub and Kahan, 1965), then the eigenvalues of the
 * symmetric tridiagonal matrix that is equivalent to the bidiagonal one. No squares of the matrix are formed, so each
 * value has an absolute error of rounding times the largest one.
 *
 * Those eigenvalues by the implicit QL method with Wilkinson's shift (Dubrulle, Martin and Wilkinson, 1968). Backward stable: each
 * value is off by rounding times the largest one.
 */
import { DataError } from "@dcae/core";

const TINY = 2 ** -900;

/**
 * The min(rows, columns) singular values, descending.
 *
 * @param matrix [rows, columns], row-major; destroyed
 */
export function singularValues(matrix: Float64Array, rows: number, columns: number): Float64Array {
  if (rows < columns) return singularValues(transposed(matrix, rows, columns), columns, rows);
  // With elements of at most 1, squares neither overflow nor lose anything that matters when they underflow.
  const scale = matrix.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (scale === 0) return new Float64Array(columns);
  for (let i = 0; i < matrix.length; i++) matrix[i] = (matrix[i] as number) / scale;
  const { diagonal, above } = bidiagonalize(matrix, rows, columns);
  // Interleaved, [0 B^T; B 0] is tridiagonal with zeros on its diagonal and d1, e1, d2, e2, ... beside it. Its
  // eigenvalues are plus and minus the singular values.
  const beside = new Float64Array(Math.max(2 * columns - 1, 0));
  for (let i = 0; i < columns; i++) {
    beside[2 * i] = diagonal[i] as number;
    if (i + 1 < columns) beside[2 * i + 1] = above[i] as number;
  }
  const pairs = tridiagonalEigenvalues(new Float64Array(2 * columns), beside);
  return pairs
    .slice(columns)
    .map((value) => Math.abs(value) * scale)
    .sort()
    .reverse();
}

function transposed(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out[j * rows + i] = matrix[i * columns + j] as number;
  }
  return out;
}

interface Bidiagonal {
  readonly diagonal: Float64Array;
  /** The diagonal above; its last element isn't used. */
  readonly above: Float64Array;
}

/**
 * Each step removes a column and a row. Its two reflections are applied together: A - u w^T - z v^T, with w known after
 * one pass over A and z after a second, so that A is read twice and written once per step. Rows go four at a time.
 */
function bidiagonalize(a: Float64Array, rows: number, columns: number): Bidiagonal {
  const diagonal = new Float64Array(columns);
  const above = new Float64Array(columns);
  const u = new Float64Array(rows);
  const v = new Float64Array(columns);
  const w = new Float64Array(columns);
  for (let k = 0; k < columns; k++) {
    for (let i = k; i < rows; i++) u[i] = a[i * columns + k] as number;
    const left = reflect(u, k, rows);
    diagonal[k] = left.value;
    const next = k + 1;
    if (next === columns) break;
    leftProducts(a, u, w, k, rows, columns, left.beta);
    const head = u[k] as number;
    for (let j = next; j < columns; j++) v[j] = (a[k * columns + j] as number) - head * (w[j] as number);
    const right = reflect(v, next, columns);
    above[k] = right.value;
    update(a, u, v, w, next, rows, columns, right.beta);
  }
  return { diagonal, above };
}

/** Turns x[start..end) into the vector of the reflection that maps it to (value, 0, 0, ...). */
function reflect(x: Float64Array, start: number, end: number): { readonly value: number; readonly beta: number } {
  let sum = 0;
  for (let i = start; i < end; i++) sum += (x[i] as number) * (x[i] as number);
  // Below this, 1 / sum isn't a number, and the vector is 0 beside elements of size 1.
  if (sum < TINY) return { value: 0, beta: 0 };
  const first = x[start] as number;
  const value = first > 0 ? -Math.sqrt(sum) : Math.sqrt(sum);
  x[start] = first - value;
  return { value, beta: 1 / (-value * (first - value)) };
}

/** w = beta A^T u over rows k.. and columns k + 1... */
function leftProducts(
  a: Float64Array,
  u: Float64Array,
  w: Float64Array,
  k: number,
  rows: number,
  columns: number,
  beta: number,
): void {
  w.fill(0, k + 1);
  let i = k;
  for (; i + 3 < rows; i += 4) {
    const [u0, u1, u2, u3] = scaled4(u, i, beta);
    const o0 = i * columns;
    const o1 = o0 + columns;
    const o2 = o1 + columns;
    const o3 = o2 + columns;
    for (let j = k + 1; j < columns; j++) {
      w[j] =
        (w[j] as number) +
        (u0 * (a[o0 + j] as number) +
          u1 * (a[o1 + j] as number) +
          u2 * (a[o2 + j] as number) +
          u3 * (a[o3 + j] as number));
    }
  }
  for (; i < rows; i++) {
    const u0 = (u[i] as number) * beta;
    for (let j = k + 1; j < columns; j++) w[j] = (w[j] as number) + u0 * (a[i * columns + j] as number);
  }
}

function scaled4(x: Float64Array, i: number, factor: number): readonly [number, number, number, number] {
  return [
    (x[i] as number) * factor,
    (x[i + 1] as number) * factor,
    (x[i + 2] as number) * factor,
    (x[i + 3] as number) * factor,
  ];
}

/** A -= u w^T + z v^T with z = beta (A - u w^T) v, over rows and columns from `next`. */
function update(
  a: Float64Array,
  u: Float64Array,
  v: Float64Array,
  w: Float64Array,
  next: number,
  rows: number,
  columns: number,
  beta: number,
): void {
  let wv = 0;
  for (let j = next; j < columns; j++) wv += (w[j] as number) * (v[j] as number);
  let i = next;
  for (; i + 3 < rows; i += 4) {
    const o0 = i * columns;
    const o1 = o0 + columns;
    const o2 = o1 + columns;
    const o3 = o2 + columns;
    let z0 = 0;
    let z1 = 0;
    let z2 = 0;
    let z3 = 0;
    for (let j = next; j < columns; j++) {
      const vj = v[j] as number;
      z0 += (a[o0 + j] as number) * vj;
      z1 += (a[o1 + j] as number) * vj;
      z2 += (a[o2 + j] as number) * vj;
      z3 += (a[o3 + j] as number) * vj;
    }
    const [u0, u1, u2, u3] = scaled4(u, i, 1);
    z0 = (z0 - u0 * wv) * beta;
    z1 = (z1 - u1 * wv) * beta;
    z2 = (z2 - u2 * wv) * beta;
    z3 = (z3 - u3 * wv) * beta;
    for (let j = next; j < columns; j++) {
      const wj = w[j] as number;
      const vj = v[j] as number;
      a[o0 + j] = (a[o0 + j] as number) - (u0 * wj + z0 * vj);
      a[o1 + j] = (a[o1 + j] as number) - (u1 * wj + z1 * vj);
      a[o2 + j] = (a[o2 + j] as number) - (u2 * wj + z2 * vj);
      a[o3 + j] = (a[o3 + j] as number) - (u3 * wj + z3 * vj);
    }
  }
  for (; i < rows; i++) {
    const start = i * columns;
    const ui = u[i] as number;
    let z = 0;
    for (let j = next; j < columns; j++) z += (a[start + j] as number) * (v[j] as number);
    z = (z - ui * wv) * beta;
    for (let j = next; j < columns; j++) {
      a[start + j] = (a[start + j] as number) - (ui * (w[j] as number) + z * (v[j] as number));
    }
  }
}

/** The method needs about 2 iterations per eigenvalue; 30 are the customary limit. */
const MAX_ITERATIONS = 30;

/**
 * All eigenvalues, ascending.
 *
 * @param diagonal n elements
 * @param beside the n - 1 elements next to the diagonal
 * @throws DataError when an element isn't finite
 */
export function tridiagonalEigenvalues(diagonal: Float64Array, beside: Float64Array): Float64Array {
  const n = diagonal.length;
  const d = diagonal.slice();
  const e = new Float64Array(n);
  e.set(beside.subarray(0, Math.max(n - 1, 0)));
  if (!d.every(Number.isFinite) || !e.every(Number.isFinite)) {
    throw new DataError("eigenvalues: the matrix has elements that aren't finite");
  }
  // Relative to the whole matrix: neighbors on a diagonal of zeros would never call anything small.
  const negligible = 2 ** -53 * (largest(d) + largest(e));
  for (let low = 0; low < n; low++) {
    for (let iteration = 0; ; iteration++) {
      const end = blockEnd(e, low, negligible);
      if (end === low) break;
      if (iteration === MAX_ITERATIONS) throw new DataError(`eigenvalues: no convergence at ${low} of ${n}`);
      sweep(d, e, low, end);
    }
  }
  return d.sort();
}

function largest(values: Float64Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/** Last index of the block that starts at `low`: where the next element beside the diagonal is negligible. */
function blockEnd(e: Float64Array, low: number, negligible: number): number {
  let end = low;
  while (end < e.length - 1 && Math.abs(e[end] as number) > negligible) end++;
  return end;
}

/** One implicit QL step on the block low..end. */
function sweep(d: Float64Array, e: Float64Array, low: number, end: number): void {
  const first = d[low] as number;
  const shiftRatio = ((d[low + 1] as number) - first) / (2 * (e[low] as number));
  const length = Math.hypot(shiftRatio, 1);
  let g = (d[end] as number) - first + (e[low] as number) / (shiftRatio + (shiftRatio < 0 ? -length : length));
  let s = 1;
  let c = 1;
  let p = 0;
  for (let i = end - 1; i >= low; i--) {
    const f = s * (e[i] as number);
    const b = c * (e[i] as number);
    const r = Math.sqrt(f * f + g * g);
    e[i + 1] = r;
    if (r === 0) {
      // The block falls apart here; the next iteration sees two.
      d[i + 1] = (d[i + 1] as number) - p;
      e[end] = 0;
      return;
    }
    s = f / r;
    c = g / r;
    const shifted = (d[i + 1] as number) - p;
    const t = ((d[i] as number) - shifted) * s + 2 * c * b;
    p = s * t;
    d[i + 1] = shifted + p;
    g = c * t - b;
  }
  d[low] = (d[low] as number) - p;
  e[low] = g;
  e[end] = 0;
}
