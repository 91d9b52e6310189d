/** Activations, normalizations, shortcuts and attention: composites, which the graph knows by name. Axes may be negative. */

import { ShapeError } from "../../errors.js";
import { composite } from "../composites/composite.js";
import type { AttentionAttributes } from "../composites/composite-row.js";
import { resolveAxis, shapeError } from "../infer/rule.js";
import type { Value } from "../value.js";

/** x * sigmoid(x), also called swish. */
export const silu = (x: Value): Value => composite("silu", [x], {});

/**
 * max(x, slope * x).
 *
 * @param slope at most 1
 * @throws ShapeError for steeper ones, whose maximum is another function
 */
export function leakyRelu(x: Value, slope: number): Value {
  if (!(slope <= 1)) throw new ShapeError(`leakyRelu: the slope must be at most 1, got ${slope}`);
  return composite("leakyRelu", [x], { slope });
}

/** Exact GELU: x/2 * (1 + erf(x / sqrt(2))). */
export const gelu = (x: Value): Value => composite("gelu", [x], { approximate: "none" });

/** The tanh approximation of GELU: x/2 * (1 + tanh(sqrt(2/pi) x (1 + 0.044715 x^2))). */
export const geluTanh = (x: Value): Value => composite("gelu", [x], { approximate: "tanh" });

/** The axis that a norm goes over, and what is added below the root. */
export interface NormOptions {
  readonly axis: number;
  readonly eps: number;
}

const resolve = (op: string, x: Value, { axis, eps }: NormOptions) =>
  ({ axis: resolveAxis(op, x, axis), eps, mean: "reduction" }) as const;

/** x / sqrt(mean(x^2) + eps) * weight + bias with means over `axis`, without subtracting the mean; weight and bias [C]. */
export function rmsNorm(x: Value, weight: Value, bias: Value, options: NormOptions): Value {
  return composite("rmsNorm", [x, weight, bias], resolve("rmsNorm", x, options));
}

/** (x - mean) / sqrt(biased variance + eps) over `axis`, then times weight plus bias, both [C], where they are given. */
export function layerNorm(x: Value, options: NormOptions & { readonly weight?: Value; readonly bias?: Value }): Value {
  const { weight, bias } = options;
  if ((weight === undefined) !== (bias === undefined)) {
    throw new ShapeError("layerNorm: it takes a weight and a bias, or neither");
  }
  const inputs = weight === undefined || bias === undefined ? ([x] as const) : ([x, weight, bias] as const);
  return composite("layerNorm", inputs, resolve("layerNorm", x, options));
}

/** x [N, C, H, W] standardized over all pixels and each of `groups` groups of channels, times weight plus bias, both [C]. */
export function groupNorm(
  x: Value,
  weight: Value,
  bias: Value,
  options: { readonly groups: number; readonly eps: number },
): Value {
  return composite("groupNorm", [x, weight, bias], { groups: options.groups, eps: options.eps });
}

/**
 * [N, C, H, W] to [N, outChannels, H/factor, W/factor]: unshuffle, then the mean of each run of consecutive channels.
 *
 * @throws ShapeError when C * factor^2 isn't a multiple of outChannels
 */
export function averagingShortcut(x: Value, outChannels: number, factor: number): Value {
  return composite("averagingShortcut", [x], { outChannels, factor });
}

/**
 * [N, C, H, W] to [N, outChannels, H*factor, W*factor]: every channel repeated consecutively, then shuffled.
 *
 * @throws ShapeError when outChannels * factor^2 isn't a multiple of C
 */
export function duplicatingShortcut(x: Value, outChannels: number, factor: number): Value {
  return composite("duplicatingShortcut", [x], { outChannels, factor });
}

/**
 * Attention with a ReLU kernel: v relu(k)^T relu(q) for q, k, v [B, heads, d, N], normalized over the keys.
 *
 * @param eps protects the division
 */
export function linearAttention(q: Value, k: Value, v: Value, eps: number): Value {
  return composite("linearAttention", [q, k, v], { eps });
}

/**
 * softmax(scale q k^T) v for q, k, v [..., N, d], or transposed, [..., d, N], which the result then is, too.
 *
 * @param options scale: default 1/sqrt(d); layout: default "tokens first"
 */
export function softmaxAttention(q: Value, k: Value, v: Value, options: Partial<AttentionAttributes> = {}): Value {
  const { layout = "tokens first" } = options;
  const width = q.shape.at(layout === "tokens first" ? -1 : -2);
  if (options.scale === undefined && !(typeof width === "number" && width > 0)) {
    throw shapeError("softmaxAttention", [q, k, v], "needs a number of channels, or a scale");
  }
  return composite("softmaxAttention", [q, k, v], { layout, scale: options.scale ?? (width as number) ** -0.5 });
}
