/**
 * Gradients of what transformers are made of, as a whole (see fused-gradients.ts for why): both forms of GELU, standardization
 * over the last axis, and the product of a softmax.
 *
 * Those of GELU start from its input again instead of what lies between: the forward pass may then be one pass of the runtime,
 * which keeps nothing else. They are written with other operations than the forward pass, since a runtime that merges equal
 * ones would keep them after all.
 */
import {
  add,
  div,
  erf,
  exp,
  matmul,
  mul,
  reduceMean,
  reduceSum,
  shapeEqual,
  sigmoid,
  sub,
  transpose,
  type Value,
} from "@dcae/core/graph";
import type { Composition } from "./fused-gradients.js";

/** The composition of a transformer that `value` is the result of, if it is one. */
export function transformerComposition(value: Value): Composition | undefined {
  return geluOf(value) ?? standardizeOf(value) ?? softmaxProductOf(value);
}

const isScalar = (value: Value, number: number): boolean =>
  value.op === "constant" && value.shape.length === 0 && value.attributes.tensor.at() === Math.fround(number);

/** What `value` is the sum or product of a number with. */
function operandBeside(value: Value | undefined, op: "add" | "mul" | "div", number: number): Value | undefined {
  return value?.op === op && isScalar(value.inputs[1], number) ? value.inputs[0] : undefined;
}

/** x/2 (1 + f(...)) for both forms of GELU. */
function geluOf(y: Value): Composition | undefined {
  if (y.op !== "mul") return undefined;
  const x = operandBeside(y.inputs[0], "mul", 0.5);
  const curve = operandBeside(y.inputs[1], "add", 1);
  if (x === undefined || curve === undefined) return undefined;
  if (curve.op === "erf" && operandBeside(curve.inputs[0], "div", Math.SQRT2) === x) {
    return { inputs: [x], gradients: (dy) => [() => mul(dy, geluSlope(x))] };
  }
  if (curve.op === "tanh" && isTanhArgument(curve.inputs[0], x)) {
    return { inputs: [x], gradients: (dy) => [() => mul(dy, geluTanhSlope(x))] };
  }
  return undefined;
}

/** Phi(x) + x phi(x), with the normal distribution's phi(x) = exp(-x^2/2 - log(2 pi)/2). */
function geluSlope(x: Value): Value {
  const scaled = mul(x, Math.SQRT1_2);
  const density = exp(sub(-Math.log(2 * Math.PI) / 2, mul(scaled, scaled)));
  return add(add(mul(erf(scaled), 0.5), 0.5), mul(x, density));
}

const TANH_SCALE = Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;

/** sqrt(2/pi) x (1 + 0.044715 x^2) as `geluTanh` writes it. */
function isTanhArgument(value: Value, x: Value): boolean {
  if (value.op !== "mul" || operandBeside(value.inputs[0], "mul", TANH_SCALE) !== x) return false;
  const square = operandBeside(value.inputs[1], "add", 1);
  return square?.op === "mul" && square.inputs[1] === x && operandBeside(square.inputs[0], "mul", CUBIC) === x;
}

/** x/2 (1 + tanh(u)) is x s with s = sigmoid(2u), so its slope is s + x s (1 - s) 2u'. */
function geluTanhSlope(x: Value): Value {
  const square = mul(x, x);
  const s = sigmoid(mul(x, add(mul(square, 2 * TANH_SCALE * CUBIC), 2 * TANH_SCALE)));
  const y = mul(x, s);
  return add(s, mul(sub(y, mul(y, s)), add(mul(square, 6 * TANH_SCALE * CUBIC), 2 * TANH_SCALE)));
}

/**
 * n = (x - mean) / r with r = sqrt(variance + eps) over the last axis:
 *
 *     dx = (dn - mean(dn) - n mean(dn n)) / r
 */
function standardizeOf(n: Value): Composition | undefined {
  if (n.op !== "div") return undefined;
  const [centered, root] = n.inputs;
  if (centered.op !== "sub" || root.op !== "sqrt") return undefined;
  const [x, mean] = centered.inputs;
  const shifted = root.inputs[0];
  if (meanOverLast(mean) !== x || shifted.op !== "add" || shifted.inputs[1].op !== "constant") return undefined;
  const square = meanOverLast(shifted.inputs[0]);
  if (square?.op !== "mul" || square.inputs[0] !== centered || square.inputs[1] !== centered) return undefined;
  const over = (value: Value) => reduceMean(value, -1, { keepDims: true });
  return {
    inputs: [x],
    gradients: (dn) => [() => div(sub(sub(dn, over(dn)), mul(n, over(mul(dn, n)))), root)],
  };
}

/** What `value` is the mean of over its last axis, which it keeps. */
function meanOverLast(value: Value): Value | undefined {
  if (value.op !== "reduceMean" || !value.attributes.keepDims) return undefined;
  const [x] = value.inputs;
  return value.attributes.axes.join() === String(x.shape.length - 1) ? x : undefined;
}

/**
 * y = p v with p = softmax(s) over the last axis. The sum of dp p that softmax's derivative needs is that of dy y, which is as
 * wide as a head and not as long as the sequence (Dao et al. 2022, appendix B.4):
 *
 *     ds = p (dp - sum of dy y),   dp = dy v^T,   dv = p^T dy
 */
function softmaxProductOf(y: Value): Composition | undefined {
  if (y.op !== "matmul") return undefined;
  const [p, v] = y.inputs;
  if (p.op !== "softmax" || p.attributes.axis !== p.shape.length - 1) return undefined;
  if (!shapeEqual(p.shape.slice(0, -2), v.shape.slice(0, -2))) return undefined;
  return {
    inputs: [p.inputs[0], v],
    gradients: (dy) => [
      () => mul(p, sub(matmul(dy, transpose(v)), reduceSum(mul(dy, y), -1, { keepDims: true }))),
      () => matmul(transpose(p), dy),
    ],
  };
}
