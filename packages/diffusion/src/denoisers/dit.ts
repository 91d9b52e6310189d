/**
 * DiT (Peebles and Xie, 2022; diffusion.md section 4): a transformer whose blocks are modulated by time and label (adaLN-zero).
 *
 * Without a learned sigma and with the flow objective it is SiT.
 */
import {
  add,
  concat,
  gather,
  geluTanh,
  matmul,
  mul,
  reshape,
  type Scope,
  silu,
  slice,
  transpose,
  type Value,
} from "@dcae/core/graph";
import { type DiTConfig, labelRows, type SanaClsConfig, tokenCount } from "./denoiser-config.js";
import {
  linear,
  modulate,
  NORMAL_002,
  normalizeTokens,
  type OnHidden,
  patchEmbed,
  positionEmbedding,
  selfAttention,
  timeEmbedding,
  unpatchify,
  xavierUniform,
  ZERO,
} from "./layers.js";

// The conditioning of DiT and SANA-cls (Peebles and Xie, 2022; diffusion.md sections 4 and 5): one vector per sample from
// time and label, from which every block reads shifts, scales and gates, and the final layer that both networks share.

/** Of every layer normalization; these have no parameters. */
export const ADALN_EPS = 1e-6;
/** Width of the sinusoidal embedding that the time MLP takes. */
const FREQUENCIES = 256;

/** c [B, D]: the time MLP, plus the label's row of the table where the model has classes. */
export function conditioning(
  scope: Scope,
  t: Value,
  labels: Value | undefined,
  config: DiTConfig | SanaClsConfig,
): Value {
  const { hiddenSize } = config;
  const init = { kind: "normal", std: 0.02 } as const;
  const mlp = scope.at("t_embedder").at("mlp");
  const inner = silu(linear(mlp.at(0), timeEmbedding(t, FREQUENCIES), hiddenSize, { init }));
  const time = linear(mlp.at(2), inner, hiddenSize, { init });
  if (labels === undefined) return time;
  const shape = [labelRows(config), hiddenSize];
  const table = scope.at("y_embedder").at("embedding_table").parameter("weight", shape, { init });
  return add(time, gather(table, labels));
}

/** `pieces` vectors [B, 1, D] that a block reads from SiLU(c); a fresh model reads zeros. */
export function modulation(scope: Scope, activated: Value, pieces: number): Value[] {
  const [batch, width] = activated.shape as readonly [number, number];
  const all = linear(scope.at("adaLN_modulation").at(1), activated, pieces * width, { init: ZERO });
  return Array.from({ length: pieces }, (_, i) =>
    reshape(slice(all, 1, i * width, (i + 1) * width), [batch, 1, width]),
  );
}

/**
 * Tokens to p*p*c numbers each (twice as many with a learned sigma).
 *
 * Adaptive models use the first rows of the weight; with a learned sigma also the rows from the middle on.
 */
export function finalLayer(
  scope: Scope,
  x: Value,
  activated: Value,
  config: DiTConfig | SanaClsConfig,
  channels: number,
): Value {
  const [shift, scale] = modulation(scope, activated, 2) as [Value, Value];
  const { patchSize, inChannels, hiddenSize, learnSigma } = config;
  const place = scope.at("linear");
  const rows = patchSize ** 2 * inChannels * (learnSigma ? 2 : 1);
  const weight = place.parameter("weight", [rows, hiddenSize]);
  const bias = place.parameter("bias", [rows]);
  const used = patchSize ** 2 * channels;
  const starts = learnSigma ? [0, rows / 2] : [0];
  const take = (value: Value) =>
    channels === inChannels
      ? value
      : concat(
          starts.map((start) => slice(value, 0, start, start + used)),
          0,
        );
  return add(matmul(modulate(x, shift, scale, ADALN_EPS), transpose(take(weight))), take(bias));
}

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
