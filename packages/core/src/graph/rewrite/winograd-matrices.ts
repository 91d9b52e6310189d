/**
 * The matrices of Winograd's minimal filtering F(m, 3): m outputs of a 3-tap filter from n = m + 2 inputs with n products.
 *
 *     Y = A^T [ (G g) * (B^T d) ]        (Lavin and Gray 2015, arXiv 1509.09308, equation 11)
 *
 * in one dimension, and nested, Y = A^T [ (G g G^T) * (B^T d B) ] A, for an m x m tile of a 3x3 convolution.
 *
 * They follow from n - 1 points and infinity: filtering is the transpose of multiplying two polynomials, which is to evaluate
 * both at the points, multiply, and interpolate (Toom and Cook).
 */

/** Side of the output tile. */
export type WinogradTile = 2 | 4 | 6;

export type Matrix = readonly (readonly number[])[];

export interface WinogradMatrices {
  /** B^T [n, n], of the input. */
  readonly input: Matrix;
  /** G [n, 3], of the filter. */
  readonly filter: Matrix;
  /** A^T [m, n], of the output. */
  readonly output: Matrix;
}

/**
 * The points decide how much rounding is amplified. Of the sets of simple fractions that were tried for m = 6 this one is the
 * best: largest error over largest output 8.8e-6 at 128 channels. For m = 4, -1/2 in place of -2 halves the error of the forward
 * pass (2.1e-6 instead of 5e-6), but not that of a training step with it, which shares these matrices.
 */
const POINTS: Readonly<Record<WinogradTile, readonly number[]>> = {
  2: [0, 1, -1],
  4: [0, 1, -1, 2, -2],
  6: [0, 1, -1, 2, -2, 1 / 2, -1 / 2],
};

/** Coefficients of the product of (x - root), lowest power first. */
function polynomial(roots: readonly number[]): number[] {
  let product = [1];
  for (const root of roots) {
    const shifted = [0, ...product];
    product = shifted.map((above, power) => above - root * (product[power] ?? 0));
  }
  return product;
}

function interpolation(points: readonly number[]): WinogradMatrices {
  const n = points.length + 1;
  const others = (point: number) => points.filter((other) => other !== point);
  const row = (values: readonly number[], length: number) => Array.from({ length }, (_, k) => values[k] ?? 0);
  return {
    input: [...points.map((point) => row(polynomial(others(point)), n)), polynomial(points)],
    filter: [
      ...points.map((point) => {
        const scale = others(point).reduce((product, other) => product * (point - other), 1);
        return [1 / scale, point / scale, point ** 2 / scale];
      }),
      [0, 0, 1],
    ],
    output: Array.from({ length: n - 2 }, (_, k) => [...points.map((point) => point ** k), k === n - 3 ? 1 : 0]),
  };
}

export const WINOGRAD: Readonly<Record<WinogradTile, WinogradMatrices>> = {
  2: interpolation(POINTS[2]),
  4: interpolation(POINTS[4]),
  6: interpolation(POINTS[6]),
};

/** Kronecker product: entry [i*r + k, j*s + l] is a[i, j] * b[k, l]. It applies `a` to rows and `b` to columns at once. */
export function kronecker(a: Matrix, b: Matrix): number[][] {
  return a.flatMap((rowA) => b.map((rowB) => rowA.flatMap((x) => rowB.map((y) => x * y))));
}

export function product(a: Matrix, b: Matrix): number[][] {
  const columns = b[0]?.length ?? 0;
  return a.map((row) =>
    Array.from({ length: columns }, (_, j) => row.reduce((sum, value, i) => sum + value * (b[i]?.[j] ?? 0), 0)),
  );
}
