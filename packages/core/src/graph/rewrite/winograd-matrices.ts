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
import type { Padding2d, Value } from "../value.js";

/** Side of the output tile. */
export type WinogradTile = 2 | 4 | 6;

export type Matrix = readonly (readonly number[])[];

interface WinogradMatrices {
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

function product(a: Matrix, b: Matrix): number[][] {
  const columns = b[0]?.length ?? 0;
  return a.map((row) =>
    Array.from({ length: columns }, (_, j) => row.reduce((sum, value, i) => sum + value * (b[i]?.[j] ?? 0), 0)),
  );
}

/** Tiles along one axis of a picture. */
interface TileAxis {
  /** Of the input, before upsampling. */
  readonly size: number;
  /** Of the output. */
  readonly outSize: number;
  readonly tiles: number;
  /** Zeros in front of the first window and behind the last, in pixels of the input. */
  readonly before: number;
  readonly after: number;
}

export interface TilePlan {
  /** Windows to the domain of the products, [n, side]. */
  readonly window: Matrix;
  /** Distance of windows in the input. */
  readonly stride: number;
  readonly rows: TileAxis;
  readonly columns: TileAxis;
}

/** Row r of the window from the rows it shows of the picture that was upsampled: windows start at odd rows. */
function duplication(n: number): Matrix {
  const distinct = n / 2 + 1;
  return Array.from({ length: n }, (_, row) =>
    Array.from({ length: distinct }, (_, source) => (Math.ceil(row / 2) === source ? 1 : 0)),
  );
}

/**
 * @param sizes height and width of the input
 * @param upsampled the convolution is one of the input upsampled by 2 (nearest neighbor), its padding 1 on all sides. An n x n
 *   window of the upsampled picture holds only (n/2+1) x (n/2+1) different pixels, at stride m/2
 */
export function planTiles(
  [height, width]: readonly [number, number],
  tile: WinogradTile,
  padding: Padding2d,
  upsampled: boolean,
): TilePlan {
  const { input } = WINOGRAD[tile];
  const window = upsampled ? product(input, duplication(input.length)) : input;
  const [side, stride] = [window[0]?.length as number, upsampled ? tile / 2 : tile];
  const axis = (size: number, before: number, behind: number): TileAxis => {
    const outSize = (upsampled ? 2 : 1) * size + before + behind - 2;
    const tiles = Math.ceil(outSize / tile);
    // Padded further where the tiles reach beyond the picture.
    return { size, outSize, tiles, before, after: stride * (tiles - 1) + side - size - before };
  };
  return {
    window,
    stride,
    rows: axis(height, padding.top, padding.bottom),
    columns: axis(width, padding.left, padding.right),
  };
}

export interface WinogradOptions {
  readonly tile: WinogradTile;
  /** [O]. */
  readonly bias?: Value | undefined;
  /** Zero padding of the (upsampled) input. */
  readonly padding: Padding2d;
  /** The convolution of x upsampled by 2 (nearest neighbor); the padding must be 1 on all sides. Default false. */
  readonly upsampled?: boolean;
}
