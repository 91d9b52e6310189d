/**
 * Graph to graph: 3x3 convolutions in Winograd's form, with channels last or first, whichever the program lets be cheap.
 *
 * Channels last is the faster form as long as what lies between convolutions can follow. Group norms
 * can't: around them every convolution would be transposed twice, and a decode with SD-VAE at 256x256 took 2.3 s instead of 1.6
 * on one core. Such programs get the form with channels first, where tiles of 6 gain nothing over tiles of 4.
 */
import { analyze, topologicalOrder } from "../analyze.js";
import { compositeRow, maker, rebuild } from "../composites/composite.js";
import { isStaticShape } from "../dim.js";
import { mapProgram } from "../map-graph.js";
import { opTraits } from "../op-traits.js";
import { add, constant, reduceMean } from "../ops/elementwise.js";
import { gather, reshape, transpose } from "../ops/layout.js";
import { filterBank, matmul } from "../ops/linear.js";
import type { Program } from "../program.js";
import { sizeOf, Tensor } from "../tensor.js";
import type { Value, ValueOf } from "../value.js";
import { type ChooseWinograd, isUpsampled, toWinograd, winogradSize } from "./winograd.js";
import {
  kronecker,
  type Matrix,
  planTiles,
  type TilePlan,
  WINOGRAD,
  type WinogradOptions,
  type WinogradTile,
} from "./winograd-matrices.js";

const values = (program: Program): Value[] => topologicalOrder([...program.outputs.values()]);
const convolutions = (program: Program): number => values(program).filter(({ op }) => op === "conv2d").length;

/** Changes between channels first and channels last of what varies. */
function layoutChanges(program: Program): number {
  const { isConstant } = analyze(program);
  const changes = ["0,2,3,1", "0,3,1,2"];
  return values(program).filter(
    (value) => value.op === "transpose" && changes.includes(value.attributes.permutation.join()) && !isConstant(value),
  ).length;
}

/** @param choose the tile of each convolution, undefined where it stays as it is */
export function inferenceWinograd(program: Program, choose: ChooseWinograd): Program {
  const last = channelsLastWinograd(program, choose);
  // With a transpose per convolution, beside the two at the ends, the two forms take about the same time.
  if (layoutChanges(last) <= convolutions(program) - convolutions(last) + 2) return last;
  return toWinograd(program, (size, weight) => {
    const tile = choose(size, weight);
    return tile === 6 ? 4 : tile;
  });
}

// Graph to graph: 3x3 convolutions take Winograd's form with channels last, and what lies between them follows.
//
// A value that exists with channels last is known by both of its forms. Elementwise ops and means over channels that meet such
// a value compute with channels last too, so that the transposes in between cancel and remain only where a stage begins or
// ends. So do composites that say how (their column `channelsLast`); others that meet such a value give way to their bodies.
// Norms over channels then run along the last axis, where the runtime has them as one operator.

/** The two forms of values. */
class Layouts {
  readonly #last = new Map<Value, Value>();

  /** Whether the value exists with channels last. */
  has(value: Value): boolean {
    return this.#last.has(value);
  }

  /** [N, C, H, W] to [N, H, W, C]. */
  toLast(value: Value): Value {
    const known = this.#last.get(value) ?? transpose(value, [0, 2, 3, 1]);
    this.#last.set(value, known);
    return known;
  }

  /** [N, H, W, C] to [N, C, H, W]. */
  toFirst(value: Value): Value {
    const first = transpose(value, [0, 3, 1, 2]);
    this.#last.set(first, value);
    return first;
  }

  /** An operand of an elementwise op with a result of rank 4, as it broadcasts with channels last; undefined where it doesn't. */
  operand(value: Value): Value | undefined {
    if (!isStaticShape(value.shape)) return undefined;
    if (value.shape.length === 4) return this.toLast(value);
    if (sizeOf(value.shape) === 1) return value;
    // One value per channel, as [C, 1, 1].
    const [channels, ...rest] = value.shape;
    return value.shape.length === 3 && rest.every((size) => size === 1)
      ? reshape(value, [channels as number])
      : undefined;
  }
}

/** A value per pixel, not just per channel. */
const isPicture = ({ shape }: Value): boolean => shape.length === 4 && !(shape[2] === 1 && shape[3] === 1);

/**
 * The op with channels last, if all pictures it takes exist in that form; one suffices where a convolution waits for the result.
 *
 * @param inputs of the rewritten op
 * @param wanted whether the result is needed with channels last
 */
function follow(value: Value, inputs: readonly Value[], layouts: Layouts, wanted: boolean): Value | undefined {
  if (value.shape.length !== 4) return undefined;
  const known = inputs.filter(isPicture).map((input) => layouts.has(input));
  if (!known.includes(true) || (known.includes(false) && !wanted)) return undefined;
  if (value.op === "reduceMean") {
    const { axes, keepDims } = value.attributes;
    return axes.join() === "1" && keepDims
      ? reduceMean(layouts.toLast(inputs[0] as Value), 3, { keepDims: true })
      : undefined;
  }
  if (!opTraits[value.op].elementwise) return undefined;
  const operands = inputs.map((input) => layouts.operand(input));
  if (operands.includes(undefined)) return undefined;
  return rebuild(value, operands as Value[]);
}

/** A composite of a picture that exists with channels last, in that form, or undefined where its row has none. */
function compositeLast(value: ValueOf<"composite">, inputs: readonly Value[], layouts: Layouts): Value | undefined {
  const [x, ...others] = inputs;
  const row = compositeRow(value);
  return row.channelsLast?.(value as never, [layouts.toLast(x as Value), ...others] as never, maker(value) as never);
}

/** @param choose the tile of each convolution, undefined where it stays as it is */
export function channelsLastWinograd(program: Program, choose: ChooseWinograd): Program {
  const facts = analyze(program);
  const layouts = new Layouts();
  const shared: SizeConstants = new Map();
  const tiles = new Map<Value, WinogradTile>();
  const wanted = new Set<Value>();
  for (const value of facts.order) {
    const size = winogradSize(value, facts);
    const tile = size && value.op === "conv2d" ? choose(size, value.inputs[1]) : undefined;
    if (tile === undefined) continue;
    tiles.set(value, tile);
    wanted.add(value.inputs[0] as Value);
  }
  return mapProgram(program, (value, inputs, keep, inline) => {
    const tile = tiles.get(value);
    if (tile !== undefined && value.op === "conv2d") {
      const [x, weight, bias] = inputs as readonly [Value, Value, Value?];
      const { padding } = value.attributes;
      const upsampled = isUpsampled(x, padding);
      const source = layouts.toLast(upsampled ? (x.inputs[0] as Value) : x);
      return layouts.toFirst(winogradChannelsLast(source, weight, { tile, bias, padding, upsampled }, shared));
    }
    if (facts.isConstant(value)) return keep();
    if (value.op === "composite") {
      if (!inputs.some((input) => isPicture(input) && layouts.has(input))) return keep();
      const last = compositeLast(value, inputs, layouts);
      return last === undefined ? inline() : layouts.toFirst(last);
    }
    const last = follow(value, inputs, layouts, wanted.has(value));
    return last === undefined ? keep() : layouts.toFirst(last);
  });
}

// A 3x3 convolution as Winograd's F(m x m, 3x3) on pictures [N, H, W, C], in the form that is fastest at inference on a CPU.
//
// Channels last, every step moves runs of C values and works on all cores (apps/docs/performance-notes.md has what was measured):
//
// - the input transform is a bank of n filters with stride m along the rows and one along the columns. Each puts its index in
//   front, so the values of one point lie together;
// - the n^2 points are one batched product [n^2, tiles, C] x [n^2, C, O]. The runtime packs its constant matrices again at each
//   run, but gives whole products to threads. A product per point has its matrix packed once, but cuts each into parts, and
//   needs the points split and joined, on one core: 3% slower with two threads, 7% faster with one;
// - the output transform is one product from the left, and a gather of whole pixels puts the tiles together, cut to size.

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
type SizeConstants = Map<string, Value>;

/**
 * The same as a 3x3 convolution with stride 1, up to rounding (about 1e-5 of the largest output).
 *
 * @param x [N, H, W, C], static
 * @param weight [O, C, 3, 3]
 * @returns [N, H + top + bottom - 2, W + left + right - 2, O], H and W being those of the upsampled picture
 */
function winogradChannelsLast(
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
