/** Numbers rounded as the libraries of the reference do it. */

/** n numbers (at least 2) from `start` to `stop`, both included, in double as NumPy rounds them. */
export function linspace(start: number, stop: number, n: number): Float64Array {
  const step = (stop - start) / (n - 1);
  return Float64Array.from({ length: n }, (_, i) => (i === n - 1 ? stop : start + i * step));
}

/**
 * n numbers (at least 2) from `start` to `stop` in float32 as PyTorch rounds them: the second half counts from the end.
 *
 * Solvers compare times with knots, and models see times near 1000, so the last bit matters.
 */
export function linspace32(start: number, stop: number, n: number): Float32Array {
  const [first, last] = [Math.fround(start), Math.fround(stop)];
  const step = Math.fround(Math.fround(last - first) / (n - 1));
  return Float32Array.from({ length: n }, (_, i) =>
    i < Math.floor(n / 2) ? first + step * i : last - step * (n - 1 - i),
  );
}

/** The nearest integer, ties to even: how Python and NumPy round. */
export function roundHalfEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
