/**
 * A 3x3 convolution as Winograd's F(m x m, 3x3), written in ordinary ops: the form with channels first, for weights that change
 * with every run, as in training. Inference has a faster one (winograd-channels-last.ts).
 *
 * Of the n^2 = (m+2)^2 points of a tile each becomes one matrix product over channels, so an output costs n^2/m^2 products
 * (2.25 for m = 4) instead of 9. What decides is the cost of getting into and out of the domain of the products; this form
 * is the fastest of those that were measured on ONNX Runtime (apps/docs/benchmarks.md has others):
 *
 * - the input transform is a grouped convolution with one n x n kernel per point and stride m: it finds the overlapping
 *   tiles, the zero padding and both transforms in one pass. Every channel is its own group, which also keeps the runtime
 *   from converting it to its blocked layout and back;
 * - the transpose between transform and product has three axes for a single picture: that one is fused into the product;
 * - the output transform is one product for both axes, which reads and writes the least (one per axis takes 0 to 10% more of
 *   the whole, 20% in training), and the tiles are put together by two transposes that move whole runs, which is faster than
 *   DepthToSpace;
 * - the filter transform is a constant expression of the weight, which the runtime evaluates once, when it loads the
 *   program, and keeps instead of the weight.
 *
 * Batches of small pictures take yet another form (winograd-small.ts).
 *
 * Nearest-neighbor upsampling in front of the convolution disappears into the input transform: an n x n window of the
 * upsampled picture holds only (n/2+1) x (n/2+1) different pixels, at stride m/2.
 */
import { add } from "../ops/elementwise.js";
import { expand, reshape, slice, transpose } from "../ops/layout.js";
import { constant } from "../ops/leaves.js";
import { conv2d, matmul } from "../ops/linear.js";
import { Tensor } from "../tensor.js";
import type { Value } from "../value.js";
import { kronecker, type Matrix, WINOGRAD, type WinogradTile } from "./winograd-matrices.js";
import { isSmall, smallWinogradConv2d } from "./winograd-small.js";
import { planTiles, type TilePlan, type WinogradOptions } from "./winograd-tiles.js";

function matrix(rows: Matrix, shape?: readonly number[]): Value {
  const [first = []] = rows;
  return constant(Tensor.float32(rows.flat(), shape ?? [rows.length, first.length]));
}

/** Filters [O, C, 3, 3] in the domain of the products, [n*n, O, C]: G g G^T at each point. */
export function winogradFilter(weight: Value, tile: WinogradTile): Value {
  const [outChannels, inChannels] = weight.shape as readonly [number, number];
  const { filter } = WINOGRAD[tile];
  const taps = transpose(reshape(weight, [outChannels * inChannels, 9]));
  const points = matmul(matrix(kronecker(filter, filter)), taps);
  return reshape(points, [filter.length ** 2, outChannels, inChannels]);
}

/** Tiles of x [N, C, ...] in the domain of the products, [N, C*n*n, rows, columns]. */
function transformInput(x: Value, { window, stride, rows, columns }: TilePlan): Value {
  const channels = x.shape[1] as number;
  const [points, side] = [window.length ** 2, window[0]?.length as number];
  // The same kernels for every channel; the runtime folds this into one constant.
  const kernels = expand(matrix(kronecker(window, window), [1, points, 1, side, side]), [
    channels,
    points,
    1,
    side,
    side,
  ]);
  return conv2d(x, reshape(kernels, [channels * points, 1, side, side]), {
    groups: channels,
    stride,
    padding: { top: rows.before, left: columns.before, bottom: rows.after, right: columns.after },
  });
}

/** Products [n*n, O, N*rows*columns] to the picture [N, O, rows*m, columns*m]. */
function transformOutput(products: Value, tile: WinogradTile, batch: number, { rows, columns }: TilePlan): Value {
  const outChannels = products.shape[1] as number;
  const { output } = WINOGRAD[tile];
  const points = products.shape[0] as number;
  const size = outChannels * batch * rows.tiles * columns.tiles;
  // [n*n, O*N*tiles] to [m*m, O*N*tiles], rows and columns at once.
  const outputs = matmul(matrix(kronecker(output, output)), reshape(products, [points, size]));
  // [i, j, O*N*rows, columns] to [i, O*N*rows, columns*j] to [N, O, rows*i, columns*j].
  const [height, width] = [rows.tiles * tile, columns.tiles * tile];
  const lines = transpose(
    reshape(outputs, [tile, tile, outChannels * batch * rows.tiles, columns.tiles]),
    [0, 2, 3, 1],
  );
  const joined =
    batch === 1
      ? transpose(reshape(lines, [tile, outChannels * rows.tiles, width]), [1, 0, 2])
      : transpose(reshape(lines, [tile, outChannels, batch, rows.tiles, width]), [2, 1, 3, 0, 4]);
  return reshape(joined, [batch, outChannels, height, width]);
}

/**
 * The same as `conv2d(x, weight, { bias, padding })`, up to rounding (about 1e-5 of the largest output for m = 4).
 *
 * @param x [N, C, H, W], static
 * @param weight [O, C, 3, 3]
 * @returns [N, O, H + top + bottom - 2, W + left + right - 2], H and W being those of the upsampled picture
 */
export function winogradConv2d(x: Value, weight: Value, options: WinogradOptions): Value {
  const { tile, bias, padding, upsampled = false } = options;
  const [batch, inChannels, height, width] = x.shape as readonly [number, number, number, number];
  const outChannels = weight.shape[0] as number;
  const biased = (y: Value) => (bias === undefined ? y : add(y, reshape(bias, [outChannels, 1, 1])));
  if (!upsampled && isSmall(batch, height, width)) {
    return biased(smallWinogradConv2d(x, winogradFilter(weight, tile), tile, padding));
  }
  const plan = planTiles([height, width], tile, padding, upsampled);
  const tiles = plan.rows.tiles * plan.columns.tiles;
  const points = (tile + 2) ** 2;

  const transformed = transformInput(x, plan);
  const operand =
    batch === 1
      ? transpose(reshape(transformed, [inChannels, points, tiles]), [1, 0, 2])
      : reshape(transpose(reshape(transformed, [batch, inChannels, points, tiles]), [2, 1, 0, 3]), [
          points,
          inChannels,
          batch * tiles,
        ]);
  const products = matmul(winogradFilter(weight, tile), operand);
  const whole = transformOutput(products, tile, batch, plan);
  return biased(slice(slice(whole, 2, 0, plan.rows.outSize), 3, 0, plan.columns.outSize));
}
