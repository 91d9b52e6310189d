/** Ops that move elements: reshape, transpose, slice, pad, concat, gather, shuffles. Axes may be negative. */
import { ShapeError } from "../../errors.js";
import { build } from "../build.js";
import { type Dim, dimDivide, dimMultiply, shapeEqual, shapeSize, shapeToString } from "../dim.js";
import { shapeError } from "../infer/rule.js";
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
  const rank = x.shape.length;
  const swapped = [...Array(rank - 2).keys(), rank - 1, rank - 2];
  return build("transpose", [x], { permutation: permutation ?? swapped });
}

export function expand(x: Value, shape: readonly Dim[]): Value {
  return shapeEqual(x.shape, shape) ? x : build("expand", [x], { shape });
}

function resolveAxis(x: Value, axis: number): number {
  return axis < 0 ? axis + x.shape.length : axis;
}

/** Elements start..stop (exclusive) of one axis; negative positions count from the end. */
export function slice(x: Value, axis: number, start: number, stop?: number, step = 1): Value {
  const resolved = resolveAxis(x, axis);
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
  if (x.shape[resolveAxis(x, axis)] !== total) {
    throw shapeError("split", [x], `parts of ${sizes.join(" + ")} don't add up to axis ${axis}`);
  }
  let start = 0;
  return sizes.map((size) => {
    start += size;
    return slice(x, axis, start - size, start);
  });
}

/** Amounts per axis, [before, after]; missing axes aren't padded. */
export type PadAmounts = Readonly<Record<number, readonly [before: number, after: number]>>;

export function pad(
  x: Value,
  amounts: PadAmounts,
  mode: "constant" | "reflect" | "edge" = "constant",
  value = 0,
): Value {
  const outside = Object.keys(amounts).filter((axis) => !(Number(axis) < x.shape.length));
  if (outside.length > 0) throw new ShapeError(`pad: no axis ${outside.join(", ")} in ${shapeToString(x.shape)}`);
  const before = x.shape.map((_, axis) => amounts[axis]?.[0] ?? 0);
  const after = x.shape.map((_, axis) => amounts[axis]?.[1] ?? 0);
  if ([...before, ...after].every((amount) => amount === 0)) return x;
  return build("pad", [x], { before, after, mode, value });
}

export function concat(values: readonly Value[], axis: number): Value {
  const [first] = values;
  if (first !== undefined && values.length === 1) return first;
  return build("concat", values, { axis: first === undefined ? axis : resolveAxis(first, axis) });
}

/** Items of `data` along `axis` at integer `indices` (an embedding lookup for axis 0). */
export function gather(data: Value, indices: Value, axis = 0): Value {
  return build("gather", [data, indices], { axis: resolveAxis(data, axis) });
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
  if (times === 1) return x;
  const at = resolveAxis(x, axis);
  const size = x.shape[at] as Dim;
  const [left, right] = [x.shape.slice(0, at), x.shape.slice(at + 1)];
  const expanded = expand(reshape(x, [...left, size, 1, ...right]), [...left, size, times, ...right]);
  return reshape(expanded, [...left, dimMultiply(size, times), ...right]);
}
