/**
 * Eigenvalues of a symmetric tridiagonal matrix by the implicit QL method with Wilkinson's shift (Dubrulle, Martin and
 * Wilkinson, 1968). Backward stable: each value is off by rounding times the largest one.
 */
import { DataError } from "@dcae/core";

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
