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
import type { ConvSize } from "./winograd.js";

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

// When Winograd pays at inference: a linear model of the time of a 3x3 convolution in its three forms, with coefficients that
// bench/measure-winograd.mjs fits to measured convolutions and prints in the form of the table below.
//
// Only ratios matter for the choice, and they are alike on CPUs with wide vectors: products run at the speed of matrix
// multiplication, transforms and transformed weights at that of caches and memory.

/** Nanoseconds on one core. */
interface WinogradCosts {
  /** Direct convolution, per multiply-accumulate. */
  readonly directMac: number;
  /** Direct convolution, per value of its input. */
  readonly directInput: number;
  /** Winograd, per multiply-accumulate of the products. */
  readonly productMac: number;
  /** Winograd, per value [point, channel, tile] of the transformed input and of the products. */
  readonly point: number;
  /** Winograd, per value of the transformed weight, which is read once per run. */
  readonly weight: number;
}

const COSTS: WinogradCosts = {
  directMac: 0.00884,
  directInput: 1.87,
  productMac: 0.0116,
  point: 1.39,
  weight: 0.132,
};

/**
 * Nanoseconds of one run that a byte of further memory must save. Transformed weights are 4 (m = 4) or 7 (m = 6) times as
 * large as the weights. At 0.3 ns, tiles of 6 are for weights that many tiles share; at 0.1 ns, an encode of 256x256 with f32c32
 * took 1% less time and a decode 4%, for 0.6 GB more.
 */
const BYTE_PRICE = 0.3;

/** Tiles that are tried. Those of 2 never won. */
const TILES: readonly WinogradTile[] = [4, 6];

function directTime({ batch, inChannels, outChannels, outHeight, outWidth }: ConvSize, costs = COSTS): number {
  const positions = batch * outHeight * outWidth;
  return positions * inChannels * (9 * outChannels * costs.directMac + costs.directInput);
}

function winogradTime(size: ConvSize, tile: WinogradTile, costs = COSTS): number {
  const { batch, inChannels, outChannels, outHeight, outWidth } = size;
  const tiles = batch * Math.ceil(outHeight / tile) * Math.ceil(outWidth / tile);
  const perTile = inChannels * outChannels * costs.productMac + (inChannels + outChannels) * costs.point;
  return (tile + 2) ** 2 * (tiles * perTile + inChannels * outChannels * costs.weight);
}

/** Bytes that the transformed weight takes beyond the weight. */
export function winogradExtraBytes({ inChannels, outChannels }: ConvSize, tile: WinogradTile): number {
  return 4 * inChannels * outChannels * ((tile + 2) ** 2 - 9);
}

/** The fastest form for the CPU, memory included at its price. */
export function chooseWinograd(size: ConvSize): WinogradTile | undefined {
  const price = (tile: WinogradTile) => winogradTime(size, tile) + BYTE_PRICE * winogradExtraBytes(size, tile);
  const [best] = [...TILES].sort((a, b) => price(a) - price(b)) as [WinogradTile];
  return price(best) < directTime(size) ? best : undefined;
}
