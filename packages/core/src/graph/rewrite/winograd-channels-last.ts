/**
 * A 3x3 convolution as Winograd's F(m x m, 3x3) on pictures [N, H, W, C], in the form that is fastest at inference on a CPU.
 *
 * Channels last, every step moves runs of C values and works on all cores (apps/docs/benchmarks.md has what was measured):
 *
 * - the input transform is a bank of n filters with stride m along the rows and one along the columns. Each puts its index in
 *   front, so the values of one point lie together;
 * - the n^2 points are one batched product [n^2, tiles, C] x [n^2, C, O]. The runtime packs its constant matrices again at each
 *   run, but gives whole products to threads. A product per point has its matrix packed once, but cuts each into parts, and
 *   needs the points split and joined, on one core: 3% slower with two threads, 7% faster with one;
 * - the output transform is one product from the left, and a gather of whole pixels puts the tiles together, cut to size.
 */
import { add } from "../ops/elementwise.js";
import { gather, reshape, transpose } from "../ops/layout.js";
import { constant } from "../ops/leaves.js";
import { filterBank, matmul } from "../ops/linear.js";
import { Tensor } from "../tensor.js";
import type { Value } from "../value.js";
import { kronecker, type Matrix, WINOGRAD, type WinogradTile } from "./winograd-matrices.js";
import { planTiles, type TilePlan, type WinogradOptions } from "./winograd-tiles.js";

const matrix = (rows: Matrix): Value => constant(Tensor.float32(rows.flat(), [rows.length, rows[0]?.length as number]));

/** Filters [O, C, 3, 3] in the domain of the products: [n^2, C, O], columns slowest as in the input. */
function pointWeights(weight: Value, tile: WinogradTile): Value {
  const [outChannels, inChannels] = weight.shape as readonly [number, number];
  const { filter } = WINOGRAD[tile];
  const taps = reshape(transpose(weight, [3, 2, 1, 0]), [9, inChannels * outChannels]);
  const points = matmul(matrix(kronecker(filter, filter)), taps);
  return reshape(points, [filter.length ** 2, inChannels, outChannels]);
}

/** For each pixel of the output, its position among the outputs [m, m, N, rows, columns] of all tiles, columns first. */
function pixelPositions(batch: number, tile: number, { rows, columns }: TilePlan): Value {
  const tiles = rows.tiles * columns.tiles;
  const positions = new Int32Array(batch * rows.outSize * columns.outSize);
  let next = 0;
  for (let picture = 0; picture < batch; picture++) {
    for (let y = 0; y < rows.outSize; y++) {
      const row = (picture * rows.tiles + Math.floor(y / tile)) * columns.tiles;
      for (let x = 0; x < columns.outSize; x++) {
        const inTile = (x % tile) * tile + (y % tile);
        positions[next++] = inTile * batch * tiles + row + Math.floor(x / tile);
      }
    }
  }
  return constant(new Tensor("int32", positions, [batch, rows.outSize, columns.outSize]));
}

/** Constants that depend on sizes alone: convolutions of the same size share them. */
export type SizeConstants = Map<string, Value>;

/**
 * The same as a 3x3 convolution with stride 1, up to rounding (about 1e-5 of the largest output).
 *
 * @param x [N, H, W, C], static
 * @param weight [O, C, 3, 3]
 * @returns [N, H + top + bottom - 2, W + left + right - 2, O], H and W being those of the upsampled picture
 */
export function winogradChannelsLast(
  x: Value,
  weight: Value,
  options: WinogradOptions,
  shared: SizeConstants = new Map(),
): Value {
  const { tile, bias, padding, upsampled = false } = options;
  const [batch, height, width, inChannels] = x.shape as readonly [number, number, number, number];
  const outChannels = weight.shape[0] as number;
  const plan = planTiles([height, width], tile, padding, upsampled);
  const { window, stride, rows, columns } = plan;
  const { output } = WINOGRAD[tile];
  const tiles = batch * rows.tiles * columns.tiles;
  const once = (key: string, make: () => Value): Value => {
    const known = shared.get(key) ?? make();
    shared.set(key, known);
    return known;
  };

  // [N, H, W, C] to [n, N, rows, W, C] to [n, n, N, rows, columns, C]: points by column, then by row.
  const bank = once(`window ${tile} ${upsampled}`, () => matrix(window));
  const byRows = filterBank(x, bank, { axis: 1, stride, before: rows.before, after: rows.after });
  const byColumns = filterBank(byRows, bank, { axis: 3, stride, before: columns.before, after: columns.after });
  const points = reshape(byColumns, [window.length ** 2, tiles, inChannels]);
  const products = matmul(points, pointWeights(weight, tile));

  const inverse = once(`output ${tile}`, () => matrix(kronecker(output, output)));
  const outputs = matmul(inverse, reshape(products, [window.length ** 2, tiles * outChannels]));
  const positions = once(
    `positions ${tile} ${[batch, ...[rows, columns].flatMap((axis) => [axis.tiles, axis.outSize])]}`,
    () => pixelPositions(batch, tile, plan),
  );
  const pixels = gather(reshape(outputs, [tile * tile * tiles, outChannels]), positions);
  return bias === undefined ? pixels : add(pixels, bias);
}
