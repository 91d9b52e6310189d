/**
 * Gradients of elementwise ops and reductions.
 *
 * Conventions at points without a derivative follow PyTorch: sign(0) = 0 for abs, 0 for relu, and ties of maximum, minimum
 * and reduceMax share the gradient equally.
 */
import {
  cast,
  cos,
  div,
  dtypeKind,
  equal,
  exp,
  expand,
  greater,
  less,
  log,
  mul,
  neg,
  type OpName,
  pow,
  reduceSum,
  reshape,
  sign,
  sin,
  staticShape,
  sub,
  sumOverRanks,
  type Value,
  type ValueOf,
  where,
} from "@dcae/core/graph";
import { sumToShape } from "../adjoints.js";
import type { GradientRule, InputGradient } from "../gradient-rule.js";

type UnaryDerivative = (dy: Value, x: Value, y: Value) => Value;

const unary =
  (derive: UnaryDerivative) =>
  (y: Value, dy: Value): readonly InputGradient[] => [() => derive(dy, y.inputs[0] as Value, y)];

type BinaryDerivative = (dy: Value, a: Value, b: Value, y: Value) => Value;

/** Both derivatives in the broadcast shape; they are summed to the operands' shapes here. */
const binary =
  (left: BinaryDerivative, right: BinaryDerivative) =>
  (y: Value, dy: Value): readonly InputGradient[] => {
    const [a, b] = y.inputs as readonly [Value, Value];
    return [() => sumToShape(left(dy, a, b, y), a.shape), () => sumToShape(right(dy, a, b, y), b.shape)];
  };

/** dy where the first operand wins, half of it where both do. */
const winner =
  (wins: (a: Value, b: Value) => Value): BinaryDerivative =>
  (dy, a, b) =>
    where(wins(a, b), dy, where(equal(a, b), mul(dy, 0.5), 0));

function keptShape(x: Value, axes: readonly number[]): Value["shape"] {
  return x.shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
}

function reducedCount(y: ValueOf<"reduceMean">): number {
  const [x] = y.inputs;
  const sizes = staticShape(x.shape, "the gradient of reduceMean");
  return y.attributes.axes.reduce((count, axis) => count * (sizes[axis] as number), 1);
}

/** d a^b / d b = a^b log a, taken as 0 where a <= 0 (where the logarithm doesn't exist). */
function powExponent(dy: Value, a: Value, _b: Value, y: Value): Value {
  const positive = greater(a, 0);
  return where(positive, mul(dy, mul(y, log(where(positive, a, 1)))), 0);
}

/** b a^(b-1), without 0 * infinity where the exponent is 0. */
function powBase(dy: Value, a: Value, b: Value): Value {
  const zero = equal(b, 0);
  const exponent = where(zero, 1, sub(b, 1));
  return mul(dy, mul(b, pow(a, exponent)));
}

export const elementwiseGradients = {
  input: () => [],
  parameter: () => [],
  constant: () => [],
  neg: unary((dy) => neg(dy)),
  abs: unary((dy, x) => mul(dy, sign(x))),
  /** 0 almost everywhere. */
  sign: null,
  exp: unary((dy, _, y) => mul(dy, y)),
  log: unary((dy, x) => div(dy, x)),
  sqrt: unary((dy, _, y) => div(mul(dy, 0.5), y)),
  sin: unary((dy, x) => mul(dy, cos(x))),
  cos: unary((dy, x) => neg(mul(dy, sin(x)))),
  tanh: unary((dy, _, y) => mul(dy, sub(1, mul(y, y)))),
  sigmoid: unary((dy, _, y) => mul(dy, mul(y, sub(1, y)))),
  erf: unary((dy, x) => mul(dy, mul(exp(neg(mul(x, x))), 2 / Math.sqrt(Math.PI)))),
  // Every rank's loss depends on every rank's x: the gradient that counts is that of the sum of their losses.
  sumOverRanks: ({ attributes: { ranks } }, dy) => [() => sumOverRanks(dy, ranks)],
  relu: unary((dy, _, y) => where(greater(y, 0), dy, 0)),
  cast: (y, dy) => {
    const [x] = y.inputs;
    return [dtypeKind(x.dtype) === "float" && dtypeKind(y.dtype) === "float" ? () => cast(dy, x.dtype) : null];
  },
  add: binary(
    (dy) => dy,
    (dy) => dy,
  ),
  sub: (y, dy) => {
    const [a, b] = y.inputs;
    return [() => sumToShape(dy, a.shape), () => neg(sumToShape(dy, b.shape))];
  },
  mul: binary(
    (dy, _, b) => mul(dy, b),
    (dy, a) => mul(dy, a),
  ),
  // Summed first, where b was broadcast: the division and the sign are then those of the small tensor.
  div: (y, dy) => {
    const [a, b] = y.inputs;
    return [() => sumToShape(div(dy, b), a.shape), () => neg(div(sumToShape(mul(dy, y), b.shape), b))];
  },
  pow: binary(powBase, powExponent),
  maximum: binary(
    winner(greater),
    winner((a, b) => less(a, b)),
  ),
  minimum: binary(
    winner(less),
    winner((a, b) => greater(a, b)),
  ),
  equal: null,
  greater: null,
  less: null,
  where: (y, dy) => {
    const [condition, a, b] = y.inputs;
    return [
      null,
      () => sumToShape(where(condition, dy, 0), a.shape),
      () => sumToShape(where(condition, 0, dy), b.shape),
    ];
  },
  reduceSum: (y, dy) => {
    const [x] = y.inputs;
    return [() => expand(reshape(dy, keptShape(x, y.attributes.axes)), x.shape)];
  },
  reduceMean: (y, dy) => {
    const [x] = y.inputs;
    const share = () => mul(dy, 1 / reducedCount(y));
    return [() => expand(reshape(share(), keptShape(x, y.attributes.axes)), x.shape)];
  },
  reduceMax: (y, dy) => {
    const [x] = y.inputs;
    const { axes } = y.attributes;
    const kept = keptShape(x, axes);
    return [
      () => {
        const hits = cast(equal(x, reshape(y, kept)), dy.dtype);
        const count = reduceSum(hits, axes, { keepDims: true });
        return mul(hits, div(reshape(dy, kept), count));
      },
    ];
  },
  softmax: (y, dy) => {
    const axis = y.attributes.axis;
    return [() => mul(y, sub(dy, reduceSum(mul(dy, y), axis, { keepDims: true })))];
  },
} satisfies { [K in OpName]?: GradientRule<K> };
