/**
 * Elementwise ops, comparisons and what is composed of them.
 *
 * Binary ops broadcast as NumPy does and take plain numbers for either side: `mul(x, 2)`.
 */
import { ShapeError } from "../../errors.js";
import { build } from "../build.js";
import type { DType } from "../dtype.js";
import type { Value } from "../value.js";
import { scalar, scalarFor } from "./leaves.js";

/** A value, or a number that becomes a scalar constant of the other operand's dtype. */
export type Operand = Value | number;

export const neg = (x: Value): Value => build("neg", [x], {});
export const abs = (x: Value): Value => build("abs", [x], {});
export const sign = (x: Value): Value => build("sign", [x], {});
export const exp = (x: Value): Value => build("exp", [x], {});
export const log = (x: Value): Value => build("log", [x], {});
export const sqrt = (x: Value): Value => build("sqrt", [x], {});
export const sin = (x: Value): Value => build("sin", [x], {});
export const cos = (x: Value): Value => build("cos", [x], {});
export const tanh = (x: Value): Value => build("tanh", [x], {});
export const sigmoid = (x: Value): Value => build("sigmoid", [x], {});
export const erf = (x: Value): Value => build("erf", [x], {});
export const relu = (x: Value): Value => build("relu", [x], {});
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

export const add = (a: Operand, b: Operand): Value => binary("add", a, b);
export const sub = (a: Operand, b: Operand): Value => binary("sub", a, b);
export const mul = (a: Operand, b: Operand): Value => binary("mul", a, b);
export const div = (a: Operand, b: Operand): Value => binary("div", a, b);
export const pow = (a: Operand, b: Operand): Value => binary("pow", a, b);
export const maximum = (a: Operand, b: Operand): Value => binary("maximum", a, b);
export const minimum = (a: Operand, b: Operand): Value => binary("minimum", a, b);
export const equal = (a: Operand, b: Operand): Value => binary("equal", a, b);
export const greater = (a: Operand, b: Operand): Value => binary("greater", a, b);
export const less = (a: Operand, b: Operand): Value => binary("less", a, b);

/** Elements of `a` where `condition` (bool) holds, otherwise of `b`. Two plain numbers are float32. */
export function where(condition: Value, a: Operand, b: Operand): Value {
  const [left, right] = operands("where", a, b) ?? [scalar(Number(a)), scalar(Number(b))];
  return build("where", [condition, left, right], {});
}

export const square = (x: Value): Value => mul(x, x);
/** x clamped to [low, high]. */
export const clamp = (x: Value, low: number, high: number): Value => minimum(maximum(x, low), high);

export const relu6 = (x: Value): Value => minimum(relu(x), 6);
/** x * relu6(x + 3) / 6. */
export const hardSwish = (x: Value): Value => div(mul(x, relu6(add(x, 3))), 6);
/** log(1 + exp(x)), written so that it doesn't overflow: max(x, 0) + log(1 + exp(-|x|)). */
export const softplus = (x: Value): Value => add(relu(x), log(add(exp(neg(abs(x))), 1)));
/** x * tanh(softplus(x)). */
export const mish = (x: Value): Value => mul(x, tanh(softplus(x)));
