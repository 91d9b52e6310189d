/** Activations as composites: one pass instead of several where a runtime or a derivative knows the whole. */
import { add, div, erf, exp, greater, maximum, mul, sigmoid, sub, tanh, where } from "../ops/elementwise.js";
import { hasPixels } from "../tiling/pixel-layout.js";
import type { Value } from "../value.js";
import type { CompositeRow } from "./composite-row.js";

/** Output pixels come from the same pixels of the input, whatever its axes are. */
function pointwise<K extends "silu" | "leakyRelu" | "gelu">(): Pick<CompositeRow<K>, "half" | "tile" | "channelsLast"> {
  return {
    half: "float16",
    tile: { fits: () => true, layout: (_, [x]) => (x && hasPixels(x) ? x : undefined) },
    channelsLast: (_, inputs, make) => make(inputs),
  };
}

/** With s = sigmoid(x): y' = s + y - y s. */
export const silu: CompositeRow<"silu"> = {
  body([x]) {
    const gate = sigmoid(x);
    return { result: mul(x, gate), parts: { gate } };
  },
  gradient(y, dy) {
    const { result, parts } = y.attributes.body;
    return [() => mul(dy, add(parts.gate, sub(result, mul(result, parts.gate))))];
  },
  ...pointwise(),
};

/** dy where x > 0, slope dy elsewhere (at 0, too, as in PyTorch). */
export const leakyRelu: CompositeRow<"leakyRelu"> = {
  body: ([x], { slope }) => ({ result: maximum(x, mul(x, slope)), parts: {} }),
  gradient: ({ inputs: [x], attributes }, dy) => [() => where(greater(x, 0), dy, mul(dy, attributes.attributes.slope))],
  ...pointwise(),
};

const TANH_SCALE = Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;

/**
 * The gradients start from x again instead of what lies between: the forward pass may then be one operator of the runtime, which
 * keeps nothing else.
 */
export const gelu: CompositeRow<"gelu"> = {
  body([x], { approximate }) {
    const curve =
      approximate === "none" ? erf(div(x, Math.SQRT2)) : tanh(mul(mul(x, TANH_SCALE), add(mul(mul(x, CUBIC), x), 1)));
    return { result: mul(mul(x, 0.5), add(curve, 1)), parts: {} };
  },
  lower: ({ inputs, attributes: { attributes } }) => ({
    opType: "Gelu",
    inputs,
    attributes: { approximate: { type: "string", value: attributes.approximate } },
  }),
  gradient: ({ inputs: [x], attributes: { attributes } }, dy) => [
    () => mul(dy, attributes.approximate === "none" ? geluSlope(x) : geluTanhSlope(x)),
  ],
  ...pointwise(),
};

/** Phi(x) + x phi(x), with the normal distribution's phi(x) = exp(-x^2/2 - log(2 pi)/2). */
function geluSlope(x: Value): Value {
  const scaled = mul(x, Math.SQRT1_2);
  const density = exp(sub(-Math.log(2 * Math.PI) / 2, mul(scaled, scaled)));
  return add(add(mul(erf(scaled), 0.5), 0.5), mul(x, density));
}

/** x/2 (1 + tanh(u)) is x s with s = sigmoid(2u), so its slope is s + x s (1 - s) 2u'. */
function geluTanhSlope(x: Value): Value {
  const square = mul(x, x);
  const s = sigmoid(mul(x, add(mul(square, 2 * TANH_SCALE * CUBIC), 2 * TANH_SCALE)));
  const y = mul(x, s);
  return add(s, mul(sub(y, mul(y, s)), add(mul(square, 6 * TANH_SCALE * CUBIC), 2 * TANH_SCALE)));
}
