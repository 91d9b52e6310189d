/**
 * Adjoints of cutting and broadcasting: putting elements back where a strided slice took them from, reversing an axis, adding up
 * what was spread.
 *
 * Composed of pads and reshapes, so that they run wherever the forward ops run and can be differentiated again.
 */
import {
  constant,
  type Dim,
  gather,
  pad,
  reduceSum,
  reshape,
  shapeEqual,
  slice,
  Tensor,
  type Value,
} from "@dcae/core/graph";

/** Elements of `axis` moved `step` apart, with zeros between them: size n becomes (n - 1) * step + 1. */
export function spread(x: Value, axis: number, step: number): Value {
  const size = x.shape[axis] as number;
  if (step === 1 || size <= 1) return x;
  const [left, right] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)];
  const cells = pad(reshape(x, [...left, size, 1, ...right]), { [axis + 1]: [0, step - 1] });
  return slice(reshape(cells, [...left, size * step, ...right]), axis, 0, (size - 1) * step + 1);
}

export interface SliceAxis {
  readonly axis: number;
  readonly start: number;
  readonly step: number;
  /** Size of the axis that was cut. */
  readonly size: number;
}

/** Zeros everywhere, except `x` at the positions that a slice with these ranges reads. */
export function unslice(x: Value, ranges: readonly SliceAxis[]): Value {
  let y = x;
  const amounts: Record<number, [number, number]> = {};
  for (const { axis, start, step, size } of ranges) {
    y = spread(y, axis, step);
    amounts[axis] = [start, size - start - (y.shape[axis] as number)];
  }
  return pad(y, amounts);
}

/** The axis in reverse order. */
export function reverse(x: Value, axis: number): Value {
  const size = x.shape[axis] as number;
  if (size === 1) return x;
  const indices = BigInt64Array.from({ length: size }, (_, i) => BigInt(size - 1 - i));
  return gather(x, constant(new Tensor("int64", indices, [size])), axis);
}

/** Sums `x` over the axes along which `shape` was broadcast to it. */
export function sumToShape(x: Value, shape: readonly Dim[]): Value {
  if (shapeEqual(x.shape, shape)) return x;
  const added = x.shape.length - shape.length;
  const axes = [...x.shape.keys()].filter((axis) => axis < added || (shape[axis - added] === 1 && x.shape[axis] !== 1));
  return reshape(axes.length === 0 ? x : reduceSum(x, axes), shape);
}
