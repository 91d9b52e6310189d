/**
 * The matrices of Winograd's minimal filtering F(m, 3): m outputs of a 3-tap filter from n = m + 2 inputs with n products.
 *
 *     Y = A^T [ (G g) * (B^T d) ]        (Lavin and Gray 2015, arXiv 1509.09308, equation 11)
 *
 * in one dimension, and nested, Y = A^T [ (G g G^T) * (B^T d B) ] A, for an m x m tile of a 3x3 convolution.
 */

/** Side of the output tile. */
export type WinogradTile = 2 | 4;

export type Matrix = readonly (readonly number[])[];

export interface WinogradMatrices {
  /** B^T [n, n], of the input. */
  readonly input: Matrix;
  /** G [n, 3], of the filter. */
  readonly filter: Matrix;
  /** A^T [m, n], of the output. */
  readonly output: Matrix;
}

export const WINOGRAD: Readonly<Record<WinogradTile, WinogradMatrices>> = {
  // Interpolation at 0, 1, -1 and infinity.
  2: {
    input: [
      [1, 0, -1, 0],
      [0, 1, 1, 0],
      [0, -1, 1, 0],
      [0, 1, 0, -1],
    ],
    filter: [
      [1, 0, 0],
      [1 / 2, 1 / 2, 1 / 2],
      [1 / 2, -1 / 2, 1 / 2],
      [0, 0, 1],
    ],
    output: [
      [1, 1, 1, 0],
      [0, 1, -1, -1],
    ],
  },
  // Interpolation at 0, 1, -1, 2, -2 and infinity.
  4: {
    input: [
      [4, 0, -5, 0, 1, 0],
      [0, -4, -4, 1, 1, 0],
      [0, 4, -4, -1, 1, 0],
      [0, -2, -1, 2, 1, 0],
      [0, 2, -1, -2, 1, 0],
      [0, 4, 0, -5, 0, 1],
    ],
    filter: [
      [1 / 4, 0, 0],
      [-1 / 6, -1 / 6, -1 / 6],
      [-1 / 6, 1 / 6, -1 / 6],
      [1 / 24, 1 / 12, 1 / 6],
      [1 / 24, -1 / 12, 1 / 6],
      [0, 0, 1],
    ],
    output: [
      [1, 1, 1, 1, 1, 0],
      [0, 1, -1, 2, -2, 0],
      [0, 1, 1, 4, 4, 0],
      [0, 1, -1, 8, -8, 1],
    ],
  },
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
