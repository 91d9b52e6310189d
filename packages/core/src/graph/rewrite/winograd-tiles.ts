/** How Winograd's tiles lie on a picture, whatever form the convolution takes. */
import type { Padding2d, Value } from "../value.js";
import { type Matrix, product, WINOGRAD, type WinogradTile } from "./winograd-matrices.js";

/** Tiles along one axis of a picture. */
export interface TileAxis {
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
