/**
 * SANA-cls (diffusion.md section 5): the class-conditional form of SANA. Conditioning and final layer are DiT's; inside of a
 * block the tokens are an image, mixed by attention with 1x1 convolutions and by a gated depthwise convolution.
 */

import {
  add,
  conv2d,
  linearAttention,
  mul,
  reshape,
  type Scope,
  silu,
  slice,
  softmaxAttention,
  split,
  transpose,
  type Value,
} from "@dcae/core/graph";
import { roundHalfEven } from "../schedules/rounding.js";
import type { SanaClsConfig } from "./denoiser-config.js";
import { ADALN_EPS, conditioning, finalLayer, modulation } from "./dit.js";
import {
  imageToTokens,
  modulate,
  NORMAL_002,
  type OnHidden,
  patchEmbed,
  tokensToImage,
  unpatchify,
  ZERO,
} from "./layers.js";

/** Protects the division of linear attention. */
const ATTENTION_EPS = 1e-8;

/** A convolution with bias, parameters below `conv` of `scope`. */
function conv(scope: Scope, x: Value, outChannels: number, kernel: 1 | 3, depthwise = false): Value {
  const inChannels = x.shape[1] as number;
  const groups = depthwise ? inChannels : 1;
  const place = scope.at("conv");
  const weight = place.parameter("weight", [outChannels, inChannels / groups, kernel, kernel], { init: NORMAL_002 });
  return conv2d(x, weight, { bias: place.parameter("bias", [outChannels]), groups, padding: (kernel - 1) / 2 });
}

/** Attention over x [B, D, h, w]. Each head owns 3d consecutive channels of the first convolution: q, k and v. */
function attention(scope: Scope, x: Value, { attentionHeadDim: dim, useLinearAttn }: SanaClsConfig): Value {
  const [batch, width, height, breadth] = x.shape as readonly [number, number, number, number];
  const qkv = reshape(conv(scope.at("qkv"), x, 3 * width, 1), [batch, width / dim, 3 * dim, height * breadth]);
  const [q, k, v] = split(qkv, 2, [dim, dim, dim]) as [Value, Value, Value];
  const attended = useLinearAttn
    ? linearAttention(q, k, v, ATTENTION_EPS)
    : transpose(softmaxAttention(transpose(q), transpose(k), transpose(v)));
  return conv(scope.at("proj"), reshape(attended, x.shape), width, 1);
}

/** The convolutional MLP on x [B, D, h, w]. */
function feedForward(scope: Scope, x: Value, { hiddenSize, mlpRatio, ffnMode }: SanaClsConfig): Value {
  const hidden = roundHalfEven(hiddenSize * mlpRatio);
  const gated = ffnMode === "GLUMBConv";
  const wide = silu(conv(scope.at("inverted_conv"), x, gated ? 2 * hidden : hidden, 1));
  const mixed = conv(scope.at("depth_conv"), wide, gated ? 2 * hidden : hidden, 3, true);
  const narrow = gated ? mul(slice(mixed, 1, 0, hidden), silu(slice(mixed, 1, hidden))) : silu(mixed);
  return conv(scope.at("point_conv"), narrow, hiddenSize, 1);
}

/** A block on tokens x [B, N, D]; `activated` is SiLU(c), [B, D]. */
export function sanaBlock(scope: Scope, x: Value, activated: Value, config: SanaClsConfig): Value {
  const pieces = modulation(scope, activated, 6) as [Value, Value, Value, Value, Value, Value];
  const [shift1, scale1, gate1, shift2, scale2, gate2] = pieces;
  const side = Math.sqrt(x.shape[1] as number);
  const image = (tokens: Value, shift: Value, scale: Value) =>
    tokensToImage(modulate(tokens, shift, scale, ADALN_EPS), side);
  const y = add(x, mul(gate1, imageToTokens(attention(scope.at("attn"), image(x, shift1, scale1), config))));
  return add(y, mul(gate2, imageToTokens(feedForward(scope.at("ffn"), image(y, shift2, scale2), config))));
}

/**
 * The network's prediction; inputs and output as `dit`. There is no position embedding: the convolutions see positions.
 */
export function sanaCls(
  scope: Scope,
  x: Value,
  t: Value,
  labels: Value | undefined,
  config: SanaClsConfig,
  onHidden: OnHidden = () => {},
): Value {
  const { hiddenSize, patchSize, inChannels, depth, patchKernelSize } = config;
  let y = patchEmbed(scope.at("x_embedder").at("proj"), x, {
    width: hiddenSize,
    patchSize,
    kernel: patchKernelSize,
    inChannels,
    init: NORMAL_002,
    biasInit: ZERO,
  });
  onHidden("tokens", y);
  const c = conditioning(scope, t, labels, config);
  onHidden("cond", c);
  const activated = silu(c);
  for (let i = 0; i < depth; i++) {
    y = sanaBlock(scope.at("blocks").at(i), y, activated, config);
    onHidden(`blocks.${i}`, y);
  }
  const final = finalLayer(scope.at("final_layer"), y, activated, config, x.shape[1] as number);
  onHidden("final_layer", final);
  return unpatchify(final, patchSize);
}
