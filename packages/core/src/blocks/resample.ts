/** Between stages, and at both ends of a model: sampling by 2 with the shortcuts of Residual Autoencoding (dcae.md 2.2, 2.3), projections (2.8). */
import { shapeError } from "../graph/infer/rule.js";
import { averagingShortcut, duplicatingShortcut } from "../graph/ops/composites.js";
import { add } from "../graph/ops/elementwise.js";
import { pixelShuffle, pixelUnshuffle, slice, upsampleNearest2d } from "../graph/ops/layout.js";
import { conv2d } from "../graph/ops/linear.js";
import type { Scope } from "../graph/scope.js";
import type { Value } from "../graph/value.js";
import type { ActName, NormName } from "./block-spec.js";
import { activation, conv, convLayer, fanInUniform, norm } from "./layers.js";

type DownsampleType = "ConvPixelUnshuffle" | "Conv";
type UpsampleType = "ConvPixelShuffle" | "InterpolateConv";

/** [N, C, H, W] to [N, outChannels, H/2, W/2], without shortcut; parameters `conv.conv.*` or `conv.*`. */
export function downsampleConv(scope: Scope, x: Value, outChannels: number, type: DownsampleType): Value {
  if (type === "Conv") return conv(scope.at("conv"), x, { outChannels, stride: 2 });
  if (outChannels % 4 !== 0) throw shapeError("ConvPixelUnshuffle", [x], `${outChannels} channels don't divide by 4`);
  return pixelUnshuffle(conv(scope.at("conv").at("conv"), x, { outChannels: outChannels / 4 }), 2);
}

/** [N, C, H, W] to [N, outChannels, 2H, 2W], without shortcut; parameters `conv.conv.*`. */
export function upsampleConv(scope: Scope, x: Value, outChannels: number, type: UpsampleType): Value {
  const inner = scope.at("conv").at("conv");
  if (type === "InterpolateConv") return conv(inner, upsampleNearest2d(x, 2), { outChannels });
  return pixelShuffle(conv(inner, x, { outChannels: 4 * outChannels }), 2);
}

/** `downsampleConv` below `main`, plus the averaging shortcut; without shortcut there is no `main`. */
export function downsampleBlock(
  scope: Scope,
  x: Value,
  outChannels: number,
  type: DownsampleType,
  shortcut: "averaging" | null,
): Value {
  if (shortcut === null) return downsampleConv(scope, x, outChannels, type);
  return add(downsampleConv(scope.at("main"), x, outChannels, type), averagingShortcut(x, outChannels, 2));
}

/** `upsampleConv` below `main`, plus the duplicating shortcut; without shortcut there is no `main`. */
export function upsampleBlock(
  scope: Scope,
  x: Value,
  outChannels: number,
  type: UpsampleType,
  shortcut: "duplicating" | null,
): Value {
  if (shortcut === null) return upsampleConv(scope, x, outChannels, type);
  return add(upsampleConv(scope.at("main"), x, outChannels, type), duplicatingShortcut(x, outChannels, 2));
}

/** Picture to the first stage with blocks: a convolution (factor 1) or a down-sampling without shortcut (factor 2). */
export function encoderProjectIn(
  scope: Scope,
  x: Value,
  outChannels: number,
  factor: 1 | 2,
  type: DownsampleType,
): Value {
  return factor === 1 ? convLayer(scope, x, { outChannels }) : downsampleConv(scope, x, outChannels, type);
}

/** Options of the encoder's last layer, which gives the latent. */
export interface EncoderProjectOutOptions {
  /** Latent channels of the model. */
  readonly outChannels: number;
  readonly norm: NormName | null;
  readonly act: ActName | null;
  readonly shortcut: "averaging" | null;
  /** Adaptive output: how many of the first latent channels to compute (default all). */
  readonly channels?: number | undefined;
}

/** Last stage to latent. */
export function encoderProjectOut(scope: Scope, x: Value, options: EncoderProjectOutOptions): Value {
  const { outChannels, shortcut, channels = outChannels } = options;
  // Absent entries are dropped from the list of ops, which shifts the positions in the names.
  const list = (shortcut === null ? scope : scope.at("main")).at("op_list");
  let position = 0;
  let y = options.norm === null ? x : norm(list.at(position++), x, options.norm);
  if (options.act !== null) {
    y = activation(y, options.act);
    position++;
  }
  y = adaptiveConv(list.at(position).at("conv"), y, { inChannels: y.shape[1] as number, outChannels, channels });
  return shortcut === null ? y : add(y, averagingShortcut(x, outChannels, 1));
}

/** Latent to the last stage. `latentChannels` is the model's count; x may have fewer (adaptive input). */
export function decoderProjectIn(
  scope: Scope,
  x: Value,
  outChannels: number,
  latentChannels: number,
  shortcut: "duplicating" | null,
): Value {
  const inner = (shortcut === null ? scope : scope.at("main")).at("conv");
  const y = adaptiveConv(inner, x, { inChannels: latentChannels, outChannels, channels: outChannels });
  return shortcut === null ? y : add(y, duplicatingShortcut(x, outChannels, 1));
}

/** Options of the decoder's last layer. */
export interface DecoderProjectOutOptions {
  /** Channels of the picture. */
  readonly outChannels: number;
  /** 2 when stage 0 is empty: then this projection does the last up-sampling. */
  readonly factor: 1 | 2;
  readonly type: UpsampleType;
  readonly norm: NormName | null;
  readonly act: ActName | null;
}

/** First stage with blocks to picture: norm, act, then a convolution or an up-sampling without shortcut. */
export function decoderProjectOut(scope: Scope, x: Value, options: DecoderProjectOutOptions): Value {
  const list = scope.at("op_list");
  let position = 0;
  let y = options.norm === null ? x : norm(list.at(position++), x, options.norm);
  if (options.act !== null) {
    y = activation(y, options.act);
    position++;
  }
  const last = list.at(position);
  return options.factor === 1
    ? conv(last.at("conv"), y, { outChannels: options.outChannels })
    : upsampleConv(last, y, options.outChannels, options.type);
}

/**
 * 3x3 convolution that uses the first input channels its input has and gives the first `channels` outputs
 * (AdaptiveInputConvLayer, AdaptiveOutputConvLayer of DC-AE 1.5); a plain convolution when these are all.
 */
function adaptiveConv(
  scope: Scope,
  x: Value,
  sizes: { readonly inChannels: number; readonly outChannels: number; readonly channels: number },
): Value {
  const { inChannels, outChannels, channels } = sizes;
  const init = fanInUniform(inChannels * 9);
  const weight = scope.parameter("weight", [outChannels, inChannels, 3, 3], { init });
  const bias = scope.parameter("bias", [outChannels], { init });
  const used = slice(slice(weight, 0, 0, channels), 1, 0, Math.min(x.shape[1] as number, inChannels));
  return conv2d(x, used, { padding: 1, bias: slice(bias, 0, 0, channels) });
}
