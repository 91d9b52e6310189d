/**
 * Multi-head self-attention of UViT and DiT (diffusion.md section 3): softmax(q k^T / sqrt(d)) v.
 *
 * One linear layer gives q, k and v, each as wide as the tokens and then cut into heads.
 */
import {
  type Initializer,
  reshape,
  type Scope,
  softmaxAttention,
  split,
  transpose,
  type Value,
} from "@dcae/core/graph";
import { linear } from "./linear.js";

export interface AttentionOptions {
  readonly heads: number;
  /** Whether q, k and v have biases. */
  readonly qkvBias: boolean;
  readonly qkvInit: Initializer;
  readonly projInit: Initializer;
}

/** Tokens x [B, N, D] to [B, N, D]; parameters `qkv` and `proj` of `scope`. */
export function selfAttention(scope: Scope, x: Value, options: AttentionOptions): Value {
  const [batch, count, width] = x.shape as readonly [number, number, number];
  const { heads, qkvBias, qkvInit, projInit } = options;
  const headDim = width / heads;
  const qkv = linear(scope.at("qkv"), x, 3 * width, { bias: qkvBias, init: qkvInit });
  const [q, k, v] = split(qkv, 2, [width, width, width]).map((part) =>
    transpose(reshape(part, [batch, count, heads, headDim]), [0, 2, 1, 3]),
  ) as [Value, Value, Value];
  const attended = softmaxAttention(q, k, v);
  const merged = reshape(transpose(attended, [0, 2, 1, 3]), [batch, count, width]);
  return linear(scope.at("proj"), merged, width, { init: projInit });
}
