/** Reductions, and what is composed of them. Axes may be negative. */
import { build } from "../build.js";
import type { Dim } from "../dim.js";
import { resolveAxis, shapeError } from "../infer/rule.js";
import type { ReduceAttributes, Value } from "../value.js";
import { add, div, mul, sqrt, square, sub } from "./elementwise.js";
import { reshape } from "./layout.js";

export interface ReduceOptions {
  /** Keep reduced axes with size 1 (default false). */
  readonly keepDims?: boolean;
}

function attributes(
  op: string,
  x: Value,
  axes: readonly number[] | number | undefined,
  options: ReduceOptions,
): ReduceAttributes {
  const list = axes === undefined ? x.shape.map((_, axis) => axis) : typeof axes === "number" ? [axes] : axes;
  const resolved = list.map((axis) => resolveAxis(op, x, axis)).sort((a, b) => a - b);
  return { axes: resolved, keepDims: options.keepDims ?? false };
}

/** Sum over `axes` (all by default). */
export function reduceSum(x: Value, axes?: readonly number[] | number, options: ReduceOptions = {}): Value {
  return build("reduceSum", [x], attributes("reduceSum", x, axes, options));
}

export function reduceMean(x: Value, axes?: readonly number[] | number, options: ReduceOptions = {}): Value {
  return build("reduceMean", [x], attributes("reduceMean", x, axes, options));
}

export function reduceMax(x: Value, axes?: readonly number[] | number, options: ReduceOptions = {}): Value {
  return build("reduceMax", [x], attributes("reduceMax", x, axes, options));
}

export function softmax(x: Value, axis = -1): Value {
  return build("softmax", [x], { axis: resolveAxis("softmax", x, axis) });
}

/** (x - mean) / sqrt(biased variance + eps) over `axes`. */
export function standardize(x: Value, axes: readonly number[] | number, eps: number): Value {
  const centered = sub(x, reduceMean(x, axes, { keepDims: true }));
  const variance = reduceMean(square(centered), axes, { keepDims: true });
  return div(centered, sqrt(add(variance, eps)));
}

/** x * weight + bias with per-channel vectors [C] on axis 1 of x [N, C, ...]. */
export function channelAffine(x: Value, weight: Value, bias?: Value): Value {
  if (weight.shape.length !== 1) throw shapeError("channelAffine", [x, weight], "needs a weight [C]");
  const shape = x.shape.map((_, axis) => (axis === 1 ? (weight.shape[0] as Dim) : 1)).slice(1);
  const scaled = mul(x, reshape(weight, shape));
  return bias === undefined ? scaled : add(scaled, reshape(bias, shape));
}
