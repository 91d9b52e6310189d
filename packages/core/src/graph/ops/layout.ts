/** Ops that move elements: reshape, transpose, slice, pad, concat, gather, shuffles. Axes may be negative. */
import { build } from "../build.js";
import { type Dim, dimDivide, dimMultiply, shapeEqual, shapeSize, shapeToString } from "../dim.js";
import { checkIntegers, resolveAxis, shapeError } from "../infer/rule.js";
import type { Value } from "../value.js";

/** The same elements under another shape; one dimension may be -1. */
export function reshape(x: Value, shape: readonly Dim[]): Value {
  const resolved = resolveShape(x, shape);
  return shapeEqual(resolved, x.shape) ? x : build("reshape", [x], { shape: resolved });
}

function resolveShape(x: Value, shape: readonly Dim[]): readonly Dim[] {
  const unknown = shape.filter((dim) => dim === -1).length;
  if (unknown === 0) return shape;
  const known = shapeSize(shape.filter((dim) => dim !== -1));
  const rest = dimDivide(shapeSize(x.shape), known);
  if (unknown > 1 || rest === undefined) {
    throw shapeError("reshape", [x], `doesn't fit into ${shapeToString(shape)}`);
  }
  return shape.map((dim) => (dim === -1 ? rest : dim));
}

/** Axes in another order; by default the last two swapped. */
export function transpose(x: Value, permutation?: readonly number[]): Value {
  const axes = permutation ?? [...x.shape.slice(2).keys(), -1, -2];
  return build("transpose", [x], { permutation: axes.map((axis) => resolveAxis("transpose", x, axis)) });
}

/** Repeats axes of size 1 until the shape is the given one, as NumPy broadcasts. */
export function expand(x: Value, shape: readonly Dim[]): Value {
  return shapeEqual(x.shape, shape) ? x : build("expand", [x], { shape });
}

/** Elements start..stop (exclusive) of one axis; negative positions count from the end. */
export function slice(x: Value, axis: number, start: number, stop?: number, step = 1): Value {
  const resolved = resolveAxis("slice", x, axis);
  const size = x.shape[resolved];
  if (typeof size !== "number") throw shapeError("slice", [x], `axis ${axis} has no fixed size to cut`);
  const position = (value: number) => (value < 0 ? value + size : value);
  const [from, to] = [position(start), position(stop ?? size)];
  if (from === 0 && to === size && step === 1) return x;
  return build("slice", [x], { axes: [resolved], starts: [from], stops: [to], steps: [step] });
}

/** Consecutive parts of the given sizes along `axis`; the sizes must add up to the whole. */
export function split(x: Value, axis: number, sizes: readonly number[]): Value[] {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  checkIntegers("split", [x], { size: sizes }, 0);
  if (x.shape[resolveAxis("split", x, axis)] !== total) {
    throw shapeError("split", [x], `parts of ${sizes.join(" + ")} don't add up to axis ${axis}`);
  }
  let start = 0;
  return sizes.map((size) => {
    start += size;
    return slice(x, axis, start - size, start);
  });
}

/** Amounts per axis, [before, after]; missing axes aren't padded. Negative axes count from the end. */
export type PadAmounts = Readonly<Record<number, readonly [before: number, after: number]>>;

/** Adds elements around a value: a constant (default 0), mirrored ones, or those of the edge. */
export function pad(
  x: Value,
  amounts: PadAmounts,
  mode: "constant" | "reflect" | "edge" = "constant",
  value = 0,
): Value {
  const before = x.shape.map(() => 0);
  const after = x.shape.map(() => 0);
  const named = new Set<number>();
  for (const [key, [low, high]] of Object.entries(amounts) as [string, readonly [number, number]][]) {
    const axis = resolveAxis("pad", x, Number(key));
    if (named.has(axis)) throw shapeError("pad", [x], `axis ${axis} has two amounts`);
    named.add(axis);
    [before[axis], after[axis]] = [low, high];
  }
  if ([...before, ...after].every((amount) => amount === 0)) return x;
  return build("pad", [x], { before, after, mode, value });
}

/** Joins values along an axis. */
export function concat(values: readonly Value[], axis: number): Value {
  const [first] = values;
  if (first === undefined) return build("concat", values, { axis });
  const resolved = resolveAxis("concat", first, axis);
  return values.length === 1 ? first : build("concat", values, { axis: resolved });
}

/** Items of `data` along `axis` at integer `indices` (an embedding lookup for axis 0). */
export function gather(data: Value, indices: Value, axis = 0): Value {
  return build("gather", [data, indices], { axis: resolveAxis("gather", data, axis) });
}

/** [B, C*r*r, H, W] to [B, C, H*r, W*r]; input channel c*r*r + i*r + j goes to row offset i, column offset j. */
export function pixelShuffle(x: Value, factor: number): Value {
  return factor === 1 ? x : build("pixelShuffle", [x], { factor });
}

/** [B, C, H*r, W*r] to [B, C*r*r, H, W], the inverse of pixelShuffle. */
export function pixelUnshuffle(x: Value, factor: number): Value {
  return factor === 1 ? x : build("pixelUnshuffle", [x], { factor });
}

/** Each pixel repeated factor x factor times. */
export function upsampleNearest2d(x: Value, factor: number): Value {
  return factor === 1 ? x : build("upsampleNearest2d", [x], { factor });
}

/** Every item of `axis` repeated `times` times consecutively: a, a, b, b, ... */
export function repeatInterleave(x: Value, axis: number, times: number): Value {
  const at = resolveAxis("repeatInterleave", x, axis);
  checkIntegers("repeatInterleave", [x], { times }, 0);
  if (times === 1) return x;
  const size = x.shape[at] as Dim;
  const [left, right] = [x.shape.slice(0, at), x.shape.slice(at + 1)];
  const expanded = expand(reshape(x, [...left, size, 1, ...right]), [...left, size, times, ...right]);
  return reshape(expanded, [...left, dimMultiply(size, times), ...right]);
}

// Pixel shuffles in the forms that move the least memory on a CPU, for static shapes.
//
// A runtime transposes six axes element by element on one core. Two transposes of four axes each, one that swaps two
// neighboring axes and one that moves whole rows, run several times as fast.

type Shape4 = readonly [number, number, number, number];

/** [N, C*r, H, W] to [N, C, H*r, W], channel c*r + i to row offset i: moves whole rows. */
function shuffleRows(x: Value, r: number): Value {
  const [batch, channels, height, width] = x.shape as Shape4;
  const rows = transpose(reshape(x, [(batch * channels) / r, r, height, width]), [0, 2, 1, 3]);
  return reshape(rows, [batch, channels / r, height * r, width]);
}

/** The inverse of `shuffleRows`. */
export function unshuffleRows(x: Value, r: number): Value {
  const [batch, channels, height, width] = x.shape as Shape4;
  const rows = transpose(reshape(x, [batch * channels, height / r, r, width]), [0, 2, 1, 3]);
  return reshape(rows, [batch, channels * r, height / r, width]);
}

/** The same as `pixelShuffle(x, r)`. */
export function fastPixelShuffle(x: Value, r: number): Value {
  const [batch, channels, height, width] = x.shape as Shape4;
  const lines = transpose(reshape(x, [(batch * channels) / r, r, height * width]), [0, 2, 1]);
  return shuffleRows(reshape(lines, [batch, channels / r, height, width * r]), r);
}

/** The same as `pixelUnshuffle(x, r)`. */
export function fastPixelUnshuffle(x: Value, r: number): Value {
  const rows = unshuffleRows(x, r);
  const [batch, channels, height, width] = rows.shape as Shape4;
  const lines = transpose(reshape(rows, [batch * channels, (height * width) / r, r]), [0, 2, 1]);
  return reshape(lines, [batch, channels * r, height, width / r]);
}
