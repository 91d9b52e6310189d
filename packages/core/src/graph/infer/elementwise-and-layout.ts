/** Shape rules of leaves, elementwise ops and reductions. */
import { type Dim, dimAdd, dimEqual, shapeEqual, shapeSize, shapeToString } from "../dim.js";
import { dtypeKind } from "../dtype.js";
import type { OpName, ReduceAttributes, Value } from "../value.js";
import { checkDims, checkIntegers, type InferRule, type Inferred, scalarTensor, shapeError } from "./rule.js";

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

function checkAxes(op: string, inputs: readonly Value[], axes: readonly number[], rank: number): void {
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
  sumOverRanks: (inputs, { ranks }) => {
    checkIntegers("sumOverRanks", inputs, { ranks }, 1);
    return sameAsInput("sumOverRanks")(inputs);
  },
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

export const layoutRules = {
  reshape: (inputs, { shape }) => {
    const [x] = inputs;
    checkDims("reshape", inputs, shape);
    if (!dimEqual(shapeSize(x.shape), shapeSize(shape))) {
      throw shapeError("reshape", inputs, `doesn't fit into ${shapeToString(shape)}`);
    }
    return { shape, dtype: x.dtype };
  },
  transpose: (inputs, { permutation }) => {
    const [x] = inputs;
    checkAxes("transpose", inputs, permutation, x.shape.length);
    if (permutation.length !== x.shape.length) {
      throw shapeError("transpose", inputs, `[${permutation.join(", ")}] doesn't name every axis`);
    }
    return { shape: permutation.map((axis) => x.shape[axis] as Dim), dtype: x.dtype };
  },
  expand: (inputs, { shape }) => {
    const [x] = inputs;
    checkDims("expand", inputs, shape);
    const broadcast = broadcastShapes(x.shape, shape);
    if (broadcast === undefined || !shapeEqual(broadcast, shape)) {
      throw shapeError("expand", inputs, `doesn't broadcast to ${shapeToString(shape)}`);
    }
    return { shape, dtype: x.dtype };
  },
  slice: (inputs, { axes, starts, stops, steps }) => {
    const [x] = inputs;
    checkAxes("slice", inputs, axes, x.shape.length);
    const shape = [...x.shape];
    axes.forEach((axis, i) => {
      const dim = x.shape[axis] as Dim;
      const [start, stop, step] = [starts[i] as number, stops[i] as number, steps[i] as number];
      if (typeof dim !== "number") throw shapeError("slice", inputs, `axis ${axis} has no fixed size to cut`);
      const whole = [start, stop, step].every(Number.isInteger);
      if (!(whole && start >= 0 && start <= stop && stop <= dim && step >= 1)) {
        throw shapeError("slice", inputs, `${start}:${stop}:${step} is outside of axis ${axis}`);
      }
      shape[axis] = Math.ceil((stop - start) / step);
    });
    return { shape, dtype: x.dtype };
  },
  pad: (inputs, { before, after, mode, value }) => {
    const [x] = inputs;
    checkIntegers("pad", inputs, { "the amount": [...before, ...after] }, 0);
    scalarTensor("pad", inputs, value, x.dtype);
    const shape = x.shape.map((dim, axis) => {
      const [low, high] = [before[axis], after[axis]];
      if (low === undefined || high === undefined) {
        throw shapeError("pad", inputs, "needs an amount before and after each axis");
      }
      if (mode === "edge" && dim === 0 && low + high > 0) throw shapeError("pad", inputs, `axis ${axis} has no edge`);
      if (mode === "reflect" && typeof dim === "number" && Math.max(low, high) >= dim && low + high > 0) {
        throw shapeError("pad", inputs, `can't reflect ${Math.max(low, high)} elements of an axis of ${dim}`);
      }
      const padded = dimAdd(dim, low + high);
      if (padded === undefined) throw shapeError("pad", inputs, `axis ${axis} has no fixed size to pad`);
      return padded;
    });
    return { shape, dtype: x.dtype };
  },
  concat: (inputs, { axis }) => {
    const [first] = inputs;
    if (first === undefined) throw shapeError("concat", inputs, "needs at least one input");
    checkAxes("concat", inputs, [axis], first.shape.length);
    let total = 0;
    for (const input of inputs) {
      const dim = input.shape[axis];
      const fits =
        input.dtype === first.dtype &&
        input.shape.length === first.shape.length &&
        input.shape.every((size, i) => i === axis || dimEqual(size, first.shape[i] as Dim));
      if (!fits) throw shapeError("concat", inputs, `the inputs differ in more than axis ${axis}`);
      if (typeof dim !== "number") throw shapeError("concat", inputs, `axis ${axis} has no fixed size`);
      total += dim;
    }
    return { shape: first.shape.map((dim, i) => (i === axis ? total : dim)), dtype: first.dtype };
  },
  gather: (inputs, { axis }) => {
    const [data, indices] = inputs;
    checkAxes("gather", inputs, [axis], data.shape.length);
    if (dtypeKind(indices.dtype) !== "int") throw shapeError("gather", inputs, "the indices must be integers");
    return {
      shape: [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)],
      dtype: data.dtype,
    };
  },
} satisfies { [K in OpName]?: InferRule<K> };
