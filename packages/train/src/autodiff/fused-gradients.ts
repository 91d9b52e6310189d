/**
 * Gradients of compositions, as a whole.
 *
 * Differentiated op by op, an activation or a normalization passes over its tensor once per op and once more for every sum of
 * partial gradients. Where the whole has a short derivative, that is used instead: SiLU in 4 passes instead of 6, RMS
 * normalization over channels with its scale and bias in 6 instead of 17. They are ordinary values again, so they can be
 * differentiated too.
 */
import {
  add,
  div,
  greater,
  isStaticShape,
  matmul,
  mul,
  reshape,
  sub,
  type Tensor,
  type Value,
  where,
} from "@dcae/core/graph";
import type { InputGradient } from "./gradient-rule.js";
import { sumToShape } from "./sum-to-shape.js";
import { transformerComposition } from "./transformer-gradients.js";

/** A value as a function of values further back, and how its gradient reaches them. */
export interface Composition {
  readonly inputs: readonly Value[];
  /** One function per input, as a row of the gradient table. */
  gradients(dy: Value): readonly InputGradient[];
}

/** The composition that `value` is the result of, if it is one of those known here. */
export function compositionOf(value: Value): Composition | undefined {
  return siluOf(value) ?? rmsNormOf(value) ?? leakyReluOf(value) ?? transformerComposition(value);
}

/** What lies between the inputs of a composition and its result: no gradient arrives there on this way. */
export function interiorOf(value: Value, { inputs }: Composition): Set<Value> {
  const interior = new Set<Value>();
  const open: Value[] = [...value.inputs];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (inputs.includes(next) || interior.has(next)) continue;
    interior.add(next);
    open.push(...next.inputs);
  }
  return interior;
}

/** x sigmoid(x). With s = sigmoid(x): y' = s + y - y s. */
function siluOf(y: Value): Composition | undefined {
  if (y.op !== "mul") return undefined;
  const [x, s] = y.inputs;
  if (s.op !== "sigmoid" || s.inputs[0] !== x) return undefined;
  return { inputs: [x], gradients: (dy) => [() => mul(dy, add(s, sub(y, mul(y, s))))] };
}

/**
 * x / r * w + b with r = sqrt(mean of x^2 over channels + eps), for x [N, C, H, W] and w, b [C, 1, 1]. With n = x / r:
 *
 *     dx = (dy w - n m) / r,   m = mean over channels of dy w n
 */
function rmsNormOf(y: Value): Composition | undefined {
  if (y.op !== "add") return undefined;
  const [scaled, bias] = y.inputs;
  if (scaled.op !== "mul" || !isPerChannel(bias, y)) return undefined;
  const [normalized, weight] = scaled.inputs;
  if (normalized.op !== "div" || !isPerChannel(weight, y)) return undefined;
  const [x, root] = normalized.inputs;
  if (root.op !== "sqrt" || !isMeanSquare(root.inputs[0], x)) return undefined;
  const [batch, channels, height, width] = x.shape as readonly [number, number, number, number];
  return {
    inputs: [x, weight, bias],
    gradients(dy) {
      const product = mul(dy, normalized);
      const dx = () => {
        const row = reshape(mul(weight, 1 / channels), [1, channels]);
        const mean = matmul(row, reshape(product, [batch, channels, height * width]));
        const along = mul(normalized, reshape(mean, [batch, 1, height, width]));
        return div(sub(mul(dy, weight), along), root);
      };
      return [dx, () => sumToShape(product, weight.shape), () => sumToShape(dy, bias.shape)];
    },
  };
}

/** max(x, slope x): dy where x > 0, slope dy elsewhere (at 0, too, as in PyTorch). */
function leakyReluOf(y: Value): Composition | undefined {
  if (y.op !== "maximum") return undefined;
  const [x, scaled] = y.inputs;
  if (scaled.op !== "mul" || scaled.inputs[0] !== x) return undefined;
  const slope = scaled.inputs[1];
  if (slope.op !== "constant" || slope.shape.length > 0 || !(Number(slope.attributes.tensor.at()) <= 1))
    return undefined;
  return { inputs: [x], gradients: (dy) => [() => where(greater(x, 0), dy, mul(dy, slope))] };
}

function isPerChannel(value: Value, of: Value): boolean {
  const { shape } = value;
  return isStaticShape(of.shape) && of.shape.length === 4 && shape.join() === [of.shape[1], 1, 1].join();
}

/** The mean of x^2 over channels plus a number, [N, 1, H, W]. */
function isMeanSquare(value: Value, x: Value): boolean {
  if (value.op !== "add" || value.inputs[1].op !== "constant" || value.inputs[1].shape.length > 0) return false;
  const square = meanOverChannels(value.inputs[0]);
  return square?.op === "mul" && square.inputs[0] === x && square.inputs[1] === x;
}

/** What `value` [N, 1, H, W] is the mean over channels of, in either of its forms (channelMeansAsProducts is the other). */
function meanOverChannels(value: Value): Value | undefined {
  if (value.op === "reduceMean") {
    const { axes, keepDims } = value.attributes;
    return axes.join() === "1" && keepDims ? value.inputs[0] : undefined;
  }
  if (value.op !== "reshape" || value.inputs[0].op !== "matmul") return undefined;
  const [row, flat] = value.inputs[0].inputs;
  if (row.op !== "constant" || flat.op !== "reshape") return undefined;
  const x = flat.inputs[0];
  const [batch, channels, height, width] = x.shape as readonly number[];
  const { tensor } = row.attributes;
  const isMean = tensor.shape.join() === `1,${channels}` && isFilledWith(tensor, 1 / (channels as number));
  return isMean && value.shape.join() === [batch, 1, height, width].join() ? x : undefined;
}

function isFilledWith(tensor: Tensor, value: number): boolean {
  return tensor.toFloat32().every((element) => element === Math.fround(value));
}
