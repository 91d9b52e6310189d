/** Ops without inputs, one by one over elements, and over axes. */

import { ShapeError } from "../../errors.js";
import { build } from "../build.js";
import type { Dim } from "../dim.js";
import type { DType } from "../dtype.js";
import { resolveAxis, scalarTensor, shapeError } from "../infer/rule.js";
import type { Tensor } from "../tensor.js";
import type { ParameterSpec, ReduceAttributes, Value } from "../value.js";
import { reshape } from "./layout.js";

/** Data given at each run under `name`. */
export function input(name: string, shape: readonly Dim[], dtype: DType = "float32"): Value {
  return build("input", [], { name, shape, dtype });
}

/** A named weight. Blocks get theirs from a `Scope`, which makes each name once. */
export function parameter(spec: ParameterSpec): Value {
  return build("parameter", [], spec);
}

/** A tensor as a value of the graph. */
export function constant(tensor: Tensor): Value {
  return build("constant", [], { tensor });
}

/**
 * A scalar constant; ops make these from plain numbers themselves.
 *
 * @throws ShapeError when the dtype has no such number
 */
export function scalar(value: number, dtype: DType = "float32"): Value {
  return constant(scalarTensor("scalar", [], value, dtype));
}

/** `value` as a constant beside `x`, for the op `op`. @throws ShapeError when the dtype of x has no such number */
export function scalarFor(op: string, x: Value, value: number): Value {
  return constant(scalarTensor(op, [x], value, x.dtype));
}

// Elementwise ops, comparisons and what is composed of them.
//
// Binary ops broadcast as NumPy does and take plain numbers for either side: `mul(x, 2)`.

/** A value, or a number that becomes a scalar constant of the other operand's dtype. */
export type Operand = Value | number;

/** -x, element by element. */
export const neg = (x: Value): Value => build("neg", [x], {});
/** The absolute value, element by element. */
export const abs = (x: Value): Value => build("abs", [x], {});
/** -1, 0 or 1, element by element. */
export const sign = (x: Value): Value => build("sign", [x], {});
/** e to the x, element by element. */
export const exp = (x: Value): Value => build("exp", [x], {});
/** The natural logarithm, element by element. */
export const log = (x: Value): Value => build("log", [x], {});
/** The square root, element by element. */
export const sqrt = (x: Value): Value => build("sqrt", [x], {});
/** The sine of radians, element by element. */
export const sin = (x: Value): Value => build("sin", [x], {});
/** The cosine of radians, element by element. */
export const cos = (x: Value): Value => build("cos", [x], {});
/** The hyperbolic tangent, element by element. */
export const tanh = (x: Value): Value => build("tanh", [x], {});
/** 1 / (1 + exp(-x)), element by element. */
export const sigmoid = (x: Value): Value => build("sigmoid", [x], {});
/** The error function, element by element. */
export const erf = (x: Value): Value => build("erf", [x], {});
/** max(x, 0), element by element. */
export const relu = (x: Value): Value => build("relu", [x], {});
/** The sum of what all ranks have for x; x itself where there is one. */
export const sumOverRanks = (x: Value, ranks: number): Value =>
  ranks === 1 ? x : build("sumOverRanks", [x], { ranks });
/** The mean of what all ranks have for x. */
export const meanOverRanks = (x: Value, ranks: number): Value =>
  ranks === 1 ? x : mul(sumOverRanks(x, ranks), 1 / ranks);
/** Elements in another dtype; the value itself where nothing changes. */
export const cast = (x: Value, dtype: DType): Value => (x.dtype === dtype ? x : build("cast", [x], { dtype }));

type BinaryOp = "add" | "sub" | "mul" | "div" | "pow" | "maximum" | "minimum" | "equal" | "greater" | "less";

/** Both operands as values; undefined where both are numbers. */
function operands(op: string, a: Operand, b: Operand): [Value, Value] | undefined {
  if (typeof a !== "number") return [a, typeof b === "number" ? scalarFor(op, a, b) : b];
  return typeof b === "number" ? undefined : [scalarFor(op, b, a), b];
}

function binary(op: BinaryOp, a: Operand, b: Operand): Value {
  const values = operands(op, a, b);
  if (values === undefined) throw new ShapeError(`${op}: at least one operand must be a graph value`);
  return build(op, values, {});
}

/** a + b, with NumPy's broadcasting. */
export const add = (a: Operand, b: Operand): Value => binary("add", a, b);
/** a - b, with NumPy's broadcasting. */
export const sub = (a: Operand, b: Operand): Value => binary("sub", a, b);
/** a * b, with NumPy's broadcasting. */
export const mul = (a: Operand, b: Operand): Value => binary("mul", a, b);
/** a / b, with NumPy's broadcasting. */
export const div = (a: Operand, b: Operand): Value => binary("div", a, b);
/** a to the b, with NumPy's broadcasting. */
export const pow = (a: Operand, b: Operand): Value => binary("pow", a, b);
/** The larger of a and b, with NumPy's broadcasting. */
export const maximum = (a: Operand, b: Operand): Value => binary("maximum", a, b);
/** The smaller of a and b, with NumPy's broadcasting. */
export const minimum = (a: Operand, b: Operand): Value => binary("minimum", a, b);
/** Where a equals b, with NumPy's broadcasting. */
export const equal = (a: Operand, b: Operand): Value => binary("equal", a, b);
/** Where a is above b, with NumPy's broadcasting. */
export const greater = (a: Operand, b: Operand): Value => binary("greater", a, b);
/** Where a is below b, with NumPy's broadcasting. */
export const less = (a: Operand, b: Operand): Value => binary("less", a, b);

/** Elements of `a` where `condition` (bool) holds, otherwise of `b`. Two plain numbers are float32. */
export function where(condition: Value, a: Operand, b: Operand): Value {
  const [left, right] = operands("where", a, b) ?? [scalar(Number(a)), scalar(Number(b))];
  return build("where", [condition, left, right], {});
}

/** x * x, element by element. */
export const square = (x: Value): Value => mul(x, x);
/** x clamped to [low, high]. */
export const clamp = (x: Value, low: number, high: number): Value => minimum(maximum(x, low), high);

/** min(max(x, 0), 6), element by element. */
export const relu6 = (x: Value): Value => minimum(relu(x), 6);
/** x * relu6(x + 3) / 6. */
export const hardSwish = (x: Value): Value => div(mul(x, relu6(add(x, 3))), 6);
/** log(1 + exp(x)), written so that it doesn't overflow: max(x, 0) + log(1 + exp(-|x|)). */
export const softplus = (x: Value): Value => add(relu(x), log(add(exp(neg(abs(x))), 1)));
/** x * tanh(softplus(x)). */
export const mish = (x: Value): Value => mul(x, tanh(softplus(x)));

/** Options of reductions. */
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

/** Mean over axes (default: all). */
export function reduceMean(x: Value, axes?: readonly number[] | number, options: ReduceOptions = {}): Value {
  return build("reduceMean", [x], attributes("reduceMean", x, axes, options));
}

/** Largest value over axes (default: all). */
export function reduceMax(x: Value, axes?: readonly number[] | number, options: ReduceOptions = {}): Value {
  return build("reduceMax", [x], attributes("reduceMax", x, axes, options));
}

/** exp(x) over its sum along an axis (default: the last). */
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
