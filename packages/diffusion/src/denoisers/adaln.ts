/**
 * The conditioning of DiT and SANA-cls (Peebles and Xie, 2022; diffusion.md sections 4 and 5): one vector per sample from
 * time and label, from which every block reads shifts, scales and gates, and the final layer that both networks share.
 */
import { add, concat, gather, matmul, reshape, type Scope, silu, slice, transpose, type Value } from "@dcae/core/graph";
import { type DiTConfig, labelRows, type SanaClsConfig } from "./denoiser-config.js";
import { ZERO } from "./initializers.js";
import { modulate } from "./layer-norm.js";
import { linear } from "./linear.js";
import { timeEmbedding } from "./time-embedding.js";

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
