/** Graph to graph: 3x3 convolutions with stride 1 become Winograd's minimal filtering where that is faster. */
import { type Analysis, analyze } from "../analyze.js";
import { isStaticShape } from "../dim.js";
import { mapProgram } from "../map-graph.js";
import { add, constant } from "../ops/elementwise.js";
import { expand, reshape, slice, transpose } from "../ops/layout.js";
import { conv2d, matmul } from "../ops/linear.js";
import type { Program } from "../program.js";
import { Tensor } from "../tensor.js";
import type { Padding2d, Value } from "../value.js";
import {
  kronecker,
  type Matrix,
  planTiles,
  type TilePlan,
  WINOGRAD,
  type WinogradOptions,
  type WinogradTile,
} from "./winograd-matrices.js";

/** What a cost rule may look at. */
export interface ConvSize {
  readonly batch: number;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly outHeight: number;
  readonly outWidth: number;
}

/**
 * The tile to use, or undefined where the direct convolution is faster.
 *
 * @param weight of the convolution, for rules that ask whether it stays what it is
 */
export type ChooseWinograd = (size: ConvSize, weight: Value) => WinogradTile | undefined;

/** The convolution's size if it has a Winograd form: 3x3, stride 1, one group, float32, static shape, constant weight. */
export function winogradSize(value: Value, { isConstant }: Analysis): ConvSize | undefined {
  if (value.op !== "conv2d" || value.dtype !== "float32") return undefined;
  const [x, weight] = value.inputs;
  const { stride, dilation, groups } = value.attributes;
  const [outChannels, inChannels, kernelHeight, kernelWidth] = weight.shape as readonly number[];
  if (kernelHeight !== 3 || kernelWidth !== 3 || groups !== 1) return undefined;
  if (![...stride, ...dilation].every((step) => step === 1)) return undefined;
  if (!isStaticShape(x.shape) || !isConstant(weight)) return undefined;
  const [batch, , outHeight, outWidth] = value.shape as readonly number[];
  return { batch, inChannels, outChannels, outHeight, outWidth } as ConvSize;
}

/** Puts the 3x3 convolutions that `choose` gives a tile for into Winograd's form. */
export function toWinograd(program: Program, choose: ChooseWinograd): Program {
  const facts = analyze(program);
  return mapProgram(program, (value, inputs, keep) => {
    const size = winogradSize(value, facts);
    if (size === undefined || value.op !== "conv2d") return keep();
    const tile = choose(size, value.inputs[1]);
    if (tile === undefined) return keep();
    const [x, weight, bias] = inputs as readonly [Value, Value, Value?];
    const { padding } = value.attributes;
    const upsampled = isUpsampled(x, padding);
    const source = upsampled ? (x.inputs[0] as Value) : x;
    return winogradConv2d(source, weight, { tile, bias, padding, upsampled });
  });
}

/** Whether x is upsampled by 2 in front of a convolution with padding 1: the upsampling can be part of the convolution. */
export function isUpsampled(x: Value, { top, left, bottom, right }: Padding2d): boolean {
  const ones = top === 1 && left === 1 && bottom === 1 && right === 1;
  return x.op === "upsampleNearest2d" && x.attributes.factor === 2 && ones;
}

// A 3x3 convolution as Winograd's F(m x m, 3x3), written in ordinary ops: the form with channels first, for weights that change
// with every run, as in training. Inference has a faster one (channels-last.ts).
//
// Of the n^2 = (m+2)^2 points of a tile each becomes one matrix product over channels, so an output costs n^2/m^2 products
// (2.25 for m = 4) instead of 9. What decides is the cost of getting into and out of the domain of the products; this form
// is the fastest of those that were measured on ONNX Runtime (apps/docs/performance-notes.md has others):
//
// - the input transform is a grouped convolution with one n x n kernel per point and stride m: it finds the overlapping
//   tiles, the zero padding and both transforms in one pass. Every channel is its own group, which also keeps the runtime
//   from converting it to its blocked layout and back;
// - the transpose between transform and product has three axes for a single picture: that one is fused into the product;
// - the output transform is one product for both axes, which reads and writes the least (one per axis takes 0 to 10% more of
//   the whole, 20% in training), and the tiles are put together by two transposes that move whole runs, which is faster than
//   DepthToSpace;
// - the filter transform is a constant expression of the weight, which the runtime evaluates once, when it loads the
//   program, and keeps instead of the weight.
//
// Batches of small pictures take yet another form, below.
//
// Nearest-neighbor upsampling in front of the convolution disappears into the input transform: an n x n window of the
// upsampled picture holds only (n/2+1) x (n/2+1) different pixels, at stride m/2.

function matrix(rows: Matrix, shape?: readonly number[]): Value {
  const [first = []] = rows;
  return constant(Tensor.float32(rows.flat(), shape ?? [rows.length, first.length]));
}

/** Filters [O, C, 3, 3] in the domain of the products, [n*n, O, C]: G g G^T at each point. */
function winogradFilter(weight: Value, tile: WinogradTile): Value {
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
function winogradConv2d(x: Value, weight: Value, options: WinogradOptions): Value {
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

// Winograd's form for batches of small pictures, with no more than three kinds of products.
//
// A picture of 8 x 8 has four tiles: unfolding them, channel by channel, costs more than multiplying. But both transforms are
// linear in the whole picture, so each is one product of all pictures with one constant matrix: [points * tiles, pixels] for the
// input, [pixels, points * tiles] for the output. The first leaves values in the order [point, tile, N, C] and the second takes
// them as [point, tile, N, O], so that the products at the points need no transpose either.
//
// Milliseconds on one core, forward and both gradients (direct / tiles by convolution / as here):
//
//   16 x 128 -> 128 at 8^2, m = 4   6.3 / 4.5 / 2.8
//   16 x 128 -> 512 at 4^2, m = 2  10.0 / 4.9 / 3.8
//   16 x 128 -> 128 at 2^2, m = 2   1.7 / 0.9 / 0.4
//
// The matrices grow with the square of the pixels: at 16 x 16 they take twice the time of tiles by convolution.

/** Pictures up to this size, in batches from this size on, are faster this way. */
const MOST_PIXELS = 64;
const LEAST_BATCH = 4;

/** Whether pictures are so small, and so many at once, that Winograd's transforms of all pixels as one product are faster. */
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
function smallWinogradConv2d(x: Value, filter: Value, tile: WinogradTile, padding: Padding2d): Value {
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
