/**
 * The autoencoder SD-VAE (AutoencoderKL of latent diffusion; dcae.md section 10) as functions of a scope.
 *
 * Parameters have the names of diffusers. The encoder gives moments, [mean, logvar] on the channel axis.
 */
import { activation, conv, fanInUniform } from "../../blocks/layers.js";
import { type Dim, shapeSize } from "../../graph/dim.js";
import { groupNorm, silu, softmaxAttention } from "../../graph/ops/composites.js";
import { add } from "../../graph/ops/elementwise.js";
import { reshape, upsampleNearest2d } from "../../graph/ops/layout.js";
import { matmul } from "../../graph/ops/linear.js";
import { ONES, type Scope } from "../../graph/scope.js";
import type { Value } from "../../graph/value.js";
import type { SdVaeConfig } from "./sd-vae-config.js";

const GROUP_NORM_EPS = 1e-6;

function normalized(scope: Scope, x: Value, groups: number): Value {
  const channels = x.shape[1] as number;
  const weight = scope.parameter("weight", [channels], { init: ONES });
  return groupNorm(x, weight, scope.parameter("bias", [channels]), { groups, eps: GROUP_NORM_EPS });
}

/** conv2(act(norm2(conv1(act(norm1(x)))))) + x, the shortcut through a 1x1 convolution where the width changes. */
function resnet(scope: Scope, x: Value, outChannels: number, config: SdVaeConfig): Value {
  const { normNumGroups, act } = config;
  let y = activation(normalized(scope.at("norm1"), x, normNumGroups), act);
  y = conv(scope.at("conv1"), y, { outChannels });
  y = activation(normalized(scope.at("norm2"), y, normNumGroups), act);
  y = conv(scope.at("conv2"), y, { outChannels });
  const sameWidth = x.shape[1] === outChannels;
  return add(y, sameWidth ? x : conv(scope.at("conv_shortcut"), x, { outChannels, kernel: 1 }));
}

/** W x + b over the channels of x [B, C, N], as a product from the left. */
function linear(scope: Scope, x: Value): Value {
  const channels = x.shape[1] as number;
  const init = fanInUniform(channels);
  const weight = scope.parameter("weight", [channels, channels], { init });
  return add(matmul(weight, x), reshape(scope.parameter("bias", [channels], { init }), [channels, 1]));
}

/** Single-head softmax attention over pixels, with its group norm and shortcut. */
function attention(scope: Scope, x: Value, config: SdVaeConfig): Value {
  const [batch, channels, height, width] = x.shape as readonly [Dim, number, Dim, Dim];
  const normed = normalized(scope.at("group_norm"), x, config.normNumGroups);
  const tokens = reshape(normed, [batch, channels, shapeSize([height, width])]);
  const query = linear(scope.at("to_q"), tokens);
  const key = linear(scope.at("to_k"), tokens);
  const value = linear(scope.at("to_v"), tokens);
  const attended = softmaxAttention(query, key, value, { scale: 1 / Math.sqrt(channels), layout: "channels first" });
  return add(reshape(linear(scope.at("to_out").at(0), attended), x.shape), x);
}

function midBlock(scope: Scope, x: Value, config: SdVaeConfig): Value {
  const channels = x.shape[1] as number;
  let y = resnet(scope.at("resnets").at(0), x, channels, config);
  if (config.midBlockAddAttention) y = attention(scope.at("attentions").at(0), y, config);
  return resnet(scope.at("resnets").at(1), y, channels, config);
}

/** The residual blocks of a level, each with attention behind it where the level has attention. */
function resnets(
  block: Scope,
  x: Value,
  level: { readonly count: number; readonly outChannels: number; readonly attends: boolean },
  config: SdVaeConfig,
): Value {
  let y = x;
  for (let i = 0; i < level.count; i++) {
    y = resnet(block.at("resnets").at(i), y, level.outChannels, config);
    if (level.attends) y = attention(block.at("attentions").at(i), y, config);
  }
  return y;
}

/** Stride 2 after one zero row at the bottom and one zero column at the right. */
const DOWNSAMPLE_PADDING = { top: 0, left: 0, bottom: 1, right: 1 } as const;

/** Encoder: x [N, C, H, W] in [-1, 1] to moments [N, 2L, H/f, W/f]. */
export function sdVaeEncode(scope: Scope, x: Value, config: SdVaeConfig): Value {
  const { blockOutChannels, layersPerBlock, latentChannels, encoderAttentionLevels } = config;
  const place = scope.at("encoder");
  let y = conv(place.at("conv_in"), x, { outChannels: blockOutChannels[0] as number });
  blockOutChannels.forEach((outChannels, level) => {
    const block = place.at("down_blocks").at(level);
    const attends = encoderAttentionLevels.includes(level);
    y = resnets(block, y, { count: layersPerBlock, outChannels, attends }, config);
    if (level === blockOutChannels.length - 1) return;
    const down = block.at("downsamplers").at(0).at("conv");
    y = conv(down, y, { outChannels, stride: 2, padding: DOWNSAMPLE_PADDING });
  });
  y = midBlock(place.at("mid_block"), y, config);
  y = silu(normalized(place.at("conv_norm_out"), y, config.normNumGroups)); // whatever the blocks' activation is
  y = conv(place.at("conv_out"), y, { outChannels: 2 * latentChannels });
  return config.useQuantConv ? conv(scope.at("quant_conv"), y, { outChannels: 2 * latentChannels, kernel: 1 }) : y;
}

/**
 * Decoder: latent [N, L, h, w] to picture [N, C, h*f, w*f].
 *
 * @param mixIn what is made of the features before each level, the deepest first, and behind the last; by default they stay
 */
export function sdVaeDecode(
  scope: Scope,
  latent: Value,
  config: SdVaeConfig,
  mixIn: (features: Value, level: number) => Value = (features) => features,
): Value {
  const { blockOutChannels, layersPerBlock, latentChannels, normNumGroups, outChannels } = config;
  const place = scope.at("decoder");
  let y = config.usePostQuantConv
    ? conv(scope.at("post_quant_conv"), latent, { outChannels: latentChannels, kernel: 1 })
    : latent;
  const deepestFirst = [...blockOutChannels].reverse();
  y = conv(place.at("conv_in"), y, { outChannels: deepestFirst[0] as number });
  y = midBlock(place.at("mid_block"), y, config);
  deepestFirst.forEach((channels, level) => {
    const block = place.at("up_blocks").at(level);
    const fromFull = deepestFirst.length - 1 - level;
    const attends = config.decoderAttentionLevels.includes(fromFull);
    y = mixIn(y, fromFull);
    y = resnets(block, y, { count: layersPerBlock + 1, outChannels: channels, attends }, config);
    if (level === deepestFirst.length - 1) return;
    y = conv(block.at("upsamplers").at(0).at("conv"), upsampleNearest2d(y, 2), { outChannels: channels });
  });
  y = silu(normalized(place.at("conv_norm_out"), mixIn(y, 0), normNumGroups));
  return conv(place.at("conv_out"), y, { outChannels });
}
