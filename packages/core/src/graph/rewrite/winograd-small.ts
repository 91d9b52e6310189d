/**
 * Winograd's form for batches of small pictures, with no more than three kinds of products.
 *
 * A picture of 8 x 8 has four tiles: unfolding them, channel by channel, costs more than multiplying. But both transforms are
 * linear in the whole picture, so each is one product of all pictures with one constant matrix: [points * tiles, pixels] for the
 * input, [pixels, points * tiles] for the output. The first leaves values in the order [point, tile, N, C] and the second takes
 * them as [point, tile, N, O], so that the products at the points need no transpose either.
 *
 * Milliseconds on one core, forward and both gradients (direct / tiles by convolution / as here):
 *
 *   16 x 128 -> 128 at 8^2, m = 4   6.3 / 4.5 / 2.8
 *   16 x 128 -> 512 at 4^2, m = 2  10.0 / 4.9 / 3.8
 *   16 x 128 -> 128 at 2^2, m = 2   1.7 / 0.9 / 0.4
 *
 * The matrices grow with the square of the pixels: at 16 x 16 they take twice the time of tiles by convolution.
 */
import { reshape, transpose } from "../ops/layout.js";
import { constant } from "../ops/leaves.js";
import { matmul } from "../ops/linear.js";
import { Tensor } from "../tensor.js";
import type { Padding2d, Value } from "../value.js";
import { type Matrix, WINOGRAD, type WinogradTile } from "./winograd-matrices.js";

/** Pictures up to this size, in batches from this size on, are faster this way. */
const MOST_PIXELS = 64;
const LEAST_BATCH = 4;

export function isSmall(batch: number, height: number, width: number): boolean {
  return batch >= LEAST_BATCH && Math.min(height, width) >= 2 && height * width <= MOST_PIXELS;
}

/** One axis of the picture: its pixels, those of the result, and the zeros before the first tile. */
interface Axis {
  readonly size: number;
  readonly out: number;
  readonly before: number;
}

/** What pixel `pixel` of an axis adds to point `point` of tile `tile`. */
function inputShare(side: WinogradTile, axis: Axis, point: number, tile: number, pixel: number): number {
  return WINOGRAD[side].input[point]?.[pixel + axis.before - tile * side] ?? 0;
}

/** What point `point` of tile `tile` adds to pixel `pixel` of the result. */
function outputShare(side: WinogradTile, point: number, tile: number, pixel: number): number {
  return Math.floor(pixel / side) === tile ? (WINOGRAD[side].output[pixel % side]?.[point] ?? 0) : 0;
}

/** Rows [point i, point j, tile i, tile j], columns [pixel i, pixel j]: the product of the shares of both axes. */
function pictureMatrix(
  points: number,
  tiles: readonly [number, number],
  pixels: readonly [number, number],
  share: (axis: 0 | 1, point: number, tile: number, pixel: number) => number,
): Matrix {
  const count = (size: number) => [...Array(size).keys()];
  return count(points).flatMap((pi) =>
    count(points).flatMap((pj) =>
      count(tiles[0]).flatMap((ti) =>
        count(tiles[1]).map((tj) =>
          count(pixels[0]).flatMap((y) => count(pixels[1]).map((x) => share(0, pi, ti, y) * share(1, pj, tj, x))),
        ),
      ),
    ),
  );
}

const toValue = (rows: Matrix): Value =>
  constant(Tensor.float32(rows.flat(), [rows.length, rows[0]?.length as number]));

/**
 * The same as `conv2d(x, weight, { padding })`.
 *
 * @param x [N, C, H, W], static
 * @param filter the weight in the domain of the products, [n*n, O, C]
 */
export function smallWinogradConv2d(x: Value, filter: Value, tile: WinogradTile, padding: Padding2d): Value {
  const [batch, channels, height, width] = x.shape as readonly [number, number, number, number];
  const outChannels = filter.shape[1] as number;
  const axes = [
    { size: height, before: padding.top, out: height + padding.top + padding.bottom - 2 },
    { size: width, before: padding.left, out: width + padding.left + padding.right - 2 },
  ] as const;
  const points = WINOGRAD[tile].input.length;
  const tiles = [Math.ceil(axes[0].out / tile), Math.ceil(axes[1].out / tile)] as const;
  const positions = points * points * tiles[0] * tiles[1];

  const input = pictureMatrix(points, tiles, [height, width], (axis, point, t, pixel) =>
    inputShare(tile, axes[axis], point, t, pixel),
  );
  const output = pictureMatrix(points, tiles, [axes[0].out, axes[1].out], (_, point, t, pixel) =>
    outputShare(tile, point, t, pixel),
  );
  const transformed = matmul(toValue(input), transpose(reshape(x, [batch * channels, height * width])));
  const operand = reshape(transformed, [points * points, tiles[0] * tiles[1] * batch, channels]);
  const products = reshape(matmul(operand, transpose(filter)), [positions, batch * outChannels]);
  const pictures = matmul(transpose(products), toValue(output));
  return reshape(pictures, [batch, outChannels, axes[0].out, axes[1].out]);
}
