/** Shape rules of leaves, elementwise ops and reductions. */
import { type Dim, dimEqual } from "../dim.js";
import { dtypeKind } from "../dtype.js";
import type { OpName, ReduceAttributes, Value } from "../value.js";
import { checkDims, type InferRule, type Inferred, shapeError } from "./rule.js";

function sameAsInput(op: OpName): (inputs: readonly [Value]) => Inferred {
  return (inputs) => {
    const [x] = inputs;
    if (dtypeKind(x.dtype) !== "float") throw shapeError(op, inputs, "needs a float dtype");
    return { shape: x.shape, dtype: x.dtype };
  };
}

/** NumPy's broadcasting; undefined where the shapes don't fit. */
export function broadcastShapes(a: readonly Dim[], b: readonly Dim[]): readonly Dim[] | undefined {
  const rank = Math.max(a.length, b.length);
  const out: Dim[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (!dimEqual(left, right) && left !== 1 && right !== 1) return undefined;
    out.push(left === 1 ? right : left);
  }
  return out;
}

function broadcast(op: OpName, comparison = false): (inputs: readonly [Value, Value]) => Inferred {
  return (inputs) => {
    const [a, b] = inputs;
    if (a.dtype !== b.dtype) throw shapeError(op, inputs, "the dtypes differ");
    const shape = broadcastShapes(a.shape, b.shape);
    if (shape === undefined) throw shapeError(op, inputs, "the shapes don't broadcast");
    return { shape, dtype: comparison ? "bool" : a.dtype };
  };
}

function reduce(op: OpName): (inputs: readonly [Value], attributes: ReduceAttributes) => Inferred {
  return (inputs, { axes, keepDims }) => {
    const [x] = inputs;
    checkAxes(op, inputs, axes, x.shape.length);
    const shape = x.shape.flatMap((dim, axis) => (axes.includes(axis) ? (keepDims ? [1] : []) : [dim]));
    return { shape, dtype: x.dtype };
  };
}

export function checkAxes(op: string, inputs: readonly Value[], axes: readonly number[], rank: number): void {
  const valid = axes.every((axis) => Number.isInteger(axis) && axis >= 0 && axis < rank);
  if (!valid || new Set(axes).size !== axes.length) {
    throw shapeError(op, inputs, `[${axes.join(", ")}] aren't distinct axes below ${rank}`);
  }
}

function leaf(inputs: readonly [], { name, shape, dtype }: Inferred & { readonly name: string }): Inferred {
  checkDims(`"${name}"`, inputs, shape);
  return { shape, dtype };
}

export const elementwiseRules = {
  input: leaf,
  parameter: leaf,
  constant: (_, { tensor }) => ({ shape: tensor.shape, dtype: tensor.dtype }),
  neg: sameAsInput("neg"),
  abs: sameAsInput("abs"),
  sign: sameAsInput("sign"),
  exp: sameAsInput("exp"),
  log: sameAsInput("log"),
  sqrt: sameAsInput("sqrt"),
  sin: sameAsInput("sin"),
  cos: sameAsInput("cos"),
  tanh: sameAsInput("tanh"),
  sigmoid: sameAsInput("sigmoid"),
  erf: sameAsInput("erf"),
  relu: sameAsInput("relu"),
  cast: ([x], { dtype }) => ({ shape: x.shape, dtype }),
  add: broadcast("add"),
  sub: broadcast("sub"),
  mul: broadcast("mul"),
  div: broadcast("div"),
  pow: broadcast("pow"),
  maximum: broadcast("maximum"),
  minimum: broadcast("minimum"),
  equal: broadcast("equal", true),
  greater: broadcast("greater", true),
  less: broadcast("less", true),
  where: (inputs) => {
    const [condition, a, b] = inputs;
    if (condition.dtype !== "bool") throw shapeError("where", inputs, "the condition must be bool");
    if (a.dtype !== b.dtype) throw shapeError("where", inputs, "the dtypes of the branches differ");
    const branches = broadcastShapes(a.shape, b.shape);
    const shape = branches && broadcastShapes(condition.shape, branches);
    if (shape === undefined) throw shapeError("where", inputs, "the shapes don't broadcast");
    return { shape, dtype: a.dtype };
  },
  reduceSum: reduce("reduceSum"),
  reduceMean: reduce("reduceMean"),
  reduceMax: reduce("reduceMax"),
  softmax: (inputs, { axis }) => {
    const [x] = inputs;
    checkAxes("softmax", inputs, [axis], x.shape.length);
    return sameAsInput("softmax")(inputs);
  },
} satisfies { [K in OpName]?: InferRule<K> };
