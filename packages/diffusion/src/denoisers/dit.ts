/**
 * DiT (Peebles and Xie, 2022; diffusion.md section 4): a transformer whose blocks are modulated by time and label (adaLN-zero).
 *
 * Without a learned sigma and with the flow objective it is SiT.
 */
import { add, geluTanh, mul, type Scope, silu, type Value } from "@dcae/core/graph";
import { ADALN_EPS, conditioning, finalLayer, modulation } from "./adaln.js";
import { selfAttention } from "./attention.js";
import { type DiTConfig, tokenCount } from "./denoiser-config.js";
import type { OnHidden } from "./hidden-values.js";
import { NORMAL_002, xavierUniform, ZERO } from "./initializers.js";
import { modulate, normalizeTokens } from "./layer-norm.js";
import { linear } from "./linear.js";
import { patchEmbed, unpatchify } from "./patch.js";
import { positionEmbedding } from "./position-embedding.js";

function attention(scope: Scope, x: Value, { hiddenSize, numHeads }: DiTConfig): Value {
  return selfAttention(scope.at("attn"), x, {
    heads: numHeads,
    qkvBias: true,
    qkvInit: xavierUniform(hiddenSize, 3 * hiddenSize),
    projInit: xavierUniform(hiddenSize, hiddenSize),
  });
}

function mlp(scope: Scope, x: Value, { hiddenSize, mlpRatio }: DiTConfig): Value {
  const hidden = Math.trunc(hiddenSize * mlpRatio);
  const init = xavierUniform(hiddenSize, hidden);
  const inner = geluTanh(linear(scope.at("mlp").at("fc1"), x, hidden, { init }));
  return linear(scope.at("mlp").at("fc2"), inner, hiddenSize, { init });
}

/** A block on tokens x [B, N, D]; `activated` is SiLU(c), [B, D]. */
export function ditBlock(scope: Scope, x: Value, activated: Value, config: DiTConfig): Value {
  if (config.postNorm) {
    const [shift1, scale1, shift2, scale2] = modulation(scope, activated, 4) as [Value, Value, Value, Value];
    const normed = (value: Value) => normalizeTokens(value, ADALN_EPS);
    const y = add(x, add(mul(normed(attention(scope, x, config)), scale1), shift1));
    return add(y, add(mul(normed(mlp(scope, y, config)), scale2), shift2));
  }
  const pieces = modulation(scope, activated, 6) as [Value, Value, Value, Value, Value, Value];
  const [shift1, scale1, gate1, shift2, scale2, gate2] = pieces;
  const y = add(x, mul(gate1, attention(scope, modulate(x, shift1, scale1, ADALN_EPS), config)));
  return add(y, mul(gate2, mlp(scope, modulate(y, shift2, scale2, ADALN_EPS), config)));
}

/**
 * The network's prediction.
 *
 * @param x latents [B, c, S, S] (c = inChannels, fewer with adaptive channels)
 * @param t model times [B]: steps 0..999 for Gaussian diffusion, [0, 1] for SiT
 * @param labels int32 [B]; undefined for a model without classes
 * @returns [B, c, S, S], or [B, 2c, S, S] with a learned sigma: first the noise, then v
 */
export function dit(
  scope: Scope,
  x: Value,
  t: Value,
  labels: Value | undefined,
  config: DiTConfig,
  onHidden: OnHidden = () => {},
): Value {
  const { hiddenSize, patchSize, inChannels, depth, patchKernelSize } = config;
  const side = Math.sqrt(tokenCount(config));
  const position = scope.parameter("pos_embed", [1, side * side, hiddenSize], {
    trainable: false,
    init: { kind: "computed", values: () => positionEmbedding(hiddenSize, side).data },
  });
  const patches = patchEmbed(scope.at("x_embedder").at("proj"), x, {
    width: hiddenSize,
    patchSize,
    kernel: patchKernelSize,
    inChannels,
    init: patchKernelSize === null ? xavierUniform(inChannels * patchSize ** 2, hiddenSize) : NORMAL_002,
    biasInit: ZERO,
  });
  let y = add(patches, position);
  onHidden("tokens", y);
  const c = conditioning(scope, t, labels, config);
  onHidden("cond", c);
  const activated = silu(c);
  for (let i = 0; i < depth; i++) {
    y = ditBlock(scope.at("blocks").at(i), y, activated, config);
    onHidden(`blocks.${i}`, y);
  }
  const final = finalLayer(scope.at("final_layer"), y, activated, config, x.shape[1] as number);
  onHidden("final_layer", final);
  return unpatchify(final, patchSize);
}
