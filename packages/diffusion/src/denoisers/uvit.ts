/**
 * UViT (Bao et al., 2022; diffusion.md section 3): a transformer over label, time and patch tokens with long skips.
 *
 * The in-blocks' outputs form a stack that the out-blocks take from the top. Nothing is modulated: label and time are
 * tokens like the others, label first. USiT is this network with the flow objective.
 */
import {
  add,
  concat,
  conv2d,
  gather,
  gelu,
  matmul,
  reshape,
  type Scope,
  silu,
  slice,
  transpose,
  type Value,
} from "@dcae/core/graph";
import { labelRows, tokenCount, type UVitConfig } from "./denoiser-config.js";
import {
  fanInUniform,
  linear,
  NORMAL_002,
  type OnHidden,
  patchEmbed,
  STANDARD_NORMAL,
  selfAttention,
  timeEmbedding,
  tokenNorm,
  unpatchify,
} from "./layers.js";

const EPS = 1e-5;
const INIT = { init: NORMAL_002 } as const;

/** A block on tokens x [B, N, D]; out-blocks also take the tokens of an earlier block, which follow x's features. */
export function uvitBlock(scope: Scope, x: Value, config: UVitConfig, skip?: Value): Value {
  const width = config.hiddenSize;
  const hidden = Math.trunc(width * config.mlpRatio);
  const activation = config.actLayer === "gelu" ? gelu : silu;
  const joined = skip === undefined ? x : linear(scope.at("skip_linear"), concat([x, skip], 2), width, INIT);
  const normed = tokenNorm(scope.at("norm1"), joined, EPS);
  const { numHeads: heads, qkvBias } = config;
  const attended = selfAttention(scope.at("attn"), normed, {
    heads,
    qkvBias,
    qkvInit: NORMAL_002,
    projInit: NORMAL_002,
  });
  const y = add(joined, attended);
  const mlp = scope.at("mlp");
  const inner = activation(linear(mlp.at("fc1"), tokenNorm(scope.at("norm2"), y, EPS), hidden, INIT));
  return add(y, linear(mlp.at("fc2"), inner, width, INIT));
}

/** The token of the time, [B, 1, D]. */
function timeToken(scope: Scope, t: Value, { hiddenSize, mlpTimeEmbed }: UVitConfig): Value {
  const embedding = timeEmbedding(t, hiddenSize);
  const mlp = scope.at("time_embed");
  const token = mlpTimeEmbed
    ? linear(mlp.at(2), silu(linear(mlp.at(0), embedding, 4 * hiddenSize, INIT)), hiddenSize, INIT)
    : embedding;
  return reshape(token, [t.shape[0] ?? 1, 1, hiddenSize]);
}

/** The token of the label, [B, 1, D]. */
function labelToken(scope: Scope, labels: Value, config: UVitConfig): Value {
  const place = scope.at("label_emb");
  const table = config.originalNames ? place : place.at("embedding_table");
  const weight = table.parameter("weight", [labelRows(config), config.hiddenSize], { init: STANDARD_NORMAL });
  return reshape(gather(weight, labels), [labels.shape[0] ?? 1, 1, config.hiddenSize]);
}

/** Final features to p*p*c numbers per token, where adaptive models use the first rows of the weight. */
function decoderPred(
  scope: Scope,
  x: Value,
  { patchSize, inChannels, hiddenSize }: UVitConfig,
  channels: number,
): Value {
  const rows = patchSize ** 2 * inChannels;
  const used = patchSize ** 2 * channels;
  const weight = scope.parameter("weight", [rows, hiddenSize], INIT);
  const bias = scope.parameter("bias", [rows]);
  return add(matmul(x, transpose(slice(weight, 0, 0, used))), slice(bias, 0, 0, used));
}

/**
 * The network's prediction.
 *
 * @param x latents [B, c, S, S] (c = inChannels, fewer with adaptive channels)
 * @param t model times [B]: 1..1000 for the noise model, [0, 1] for USiT
 * @param labels int32 [B]; undefined for a model without classes
 * @returns [B, c, S, S]
 */
export function uvit(
  scope: Scope,
  x: Value,
  t: Value,
  labels: Value | undefined,
  config: UVitConfig,
  onHidden: OnHidden = () => {},
): Value {
  const { hiddenSize, patchSize, inChannels, depth, patchKernelSize } = config;
  const init = fanInUniform(inChannels * patchSize ** 2);
  const patches = patchEmbed(scope.at("patch_embed").at("proj"), x, {
    width: hiddenSize,
    patchSize,
    kernel: patchKernelSize,
    inChannels,
    init,
    biasInit: init,
  });
  const extras = [...(labels === undefined ? [] : [labelToken(scope, labels, config)]), timeToken(scope, t, config)];
  const count = extras.length + tokenCount(config);
  const position = scope.parameter("pos_embed", [1, count, hiddenSize], INIT);
  let y = add(concat([...extras, patches], 1), position);
  onHidden("tokens", y);

  const half = Math.floor(depth / 2);
  const skips: Value[] = [];
  const run = (name: string, place: Scope, skip?: Value) => {
    y = uvitBlock(place, y, config, skip);
    onHidden(name, y);
  };
  for (let i = 0; i < half; i++) {
    run(`in_blocks.${i}`, scope.at("in_blocks").at(i));
    skips.push(y);
  }
  run("mid_block", scope.at("mid_block"));
  for (let i = 0; i < half; i++) run(`out_blocks.${i}`, scope.at("out_blocks").at(i), skips.pop());

  const normed = tokenNorm(scope.at("norm"), y, EPS);
  onHidden("norm", normed);
  const channels = x.shape[1] as number;
  const image = unpatchify(
    decoderPred(scope.at("decoder_pred"), slice(normed, 1, extras.length), config, channels),
    patchSize,
  );
  return config.outConv ? outputConv(scope.at("final_layer"), image) : image;
}

function outputConv(scope: Scope, x: Value): Value {
  const channels = x.shape[1] as number;
  const init = fanInUniform(9 * channels);
  const weight = scope.parameter("weight", [channels, channels, 3, 3], { init });
  return conv2d(x, weight, { bias: scope.parameter("bias", [channels], { init }), padding: 1 });
}
