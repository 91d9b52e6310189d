/** What blocks are made of: convolutions (dcae.md 1.5), norms (1.3) and activations (1.4), by their official names. */

import { shapeSize } from "../graph/dim.js";
import { gelu, geluTanh, layerNorm, leakyRelu, rmsNorm, silu } from "../graph/ops/composites.js";
import {
  add,
  channelAffine,
  div,
  hardSwish,
  meanOverRanks,
  mish,
  mul,
  reduceMean,
  relu,
  relu6,
  sqrt,
  square,
  sub,
} from "../graph/ops/elementwise.js";
import { reshape } from "../graph/ops/layout.js";
import { conv2d } from "../graph/ops/linear.js";
import { ONES, type Scope } from "../graph/scope.js";
import type { Initializer, Padding2d, Value } from "../graph/value.js";
import type { ActName, NormName } from "./block-spec.js";

/** Options of a convolution with parameters of its own. */
export interface ConvOptions {
  readonly outChannels: number;
  /** Odd side length (default 3). */
  readonly kernel?: number;
  readonly stride?: number;
  /** Default: kernel / 2 rounded down, on all sides. */
  readonly padding?: Padding2d;
  readonly groups?: number;
  /** Default true. */
  readonly bias?: boolean;
}

/** PyTorch's default for convolutions and linear layers: uniform in +-1/sqrt(fan in). */
export function fanInUniform(fanIn: number): Initializer {
  return { kind: "uniform", bound: 1 / Math.sqrt(fanIn) };
}

/** Convolution of x [N, C, H, W] with parameters `weight` [O, C/groups, k, k] and `bias` [O] of `scope`. */
export function conv(scope: Scope, x: Value, options: ConvOptions): Value {
  const { outChannels, kernel = 3, stride = 1, groups = 1, bias = true } = options;
  const inChannels = (x.shape[1] as number) / groups;
  const init = fanInUniform(inChannels * kernel * kernel);
  const weight = scope.parameter("weight", [outChannels, inChannels, kernel, kernel], { init });
  return conv2d(x, weight, {
    stride,
    groups,
    padding: options.padding ?? Math.floor(kernel / 2),
    bias: bias ? scope.parameter("bias", [outChannels], { init }) : undefined,
  });
}

/** Options of `convLayer`: a convolution with its norm and activation. */
export interface ConvLayerOptions extends ConvOptions {
  readonly norm?: NormName | null;
  readonly act?: ActName | null;
}

/** conv -> norm? -> act?, with parameters below `conv` and `norm`. */
export function convLayer(scope: Scope, x: Value, options: ConvLayerOptions): Value {
  const y = norm(scope.at("norm"), conv(scope.at("conv"), x, options), options.norm ?? null);
  return activation(y, options.act ?? null);
}

const EPS = 1e-5;
/** Share of the batch's statistics in the running ones. */
const MOMENTUM = 0.1;

type Norm = (scope: Scope, x: Value, channels: number) => Value;

function scaleAndShift(scope: Scope, channels: number): readonly [weight: Value, bias: Value] {
  return [scope.parameter("weight", [channels], { init: ONES }), scope.parameter("bias", [channels])];
}

/** Root mean square over channels at each pixel; no mean is subtracted, and there is a bias. */
const rms: Norm = (scope, x, channels) => rmsNorm(x, ...scaleAndShift(scope, channels), { axis: 1, eps: EPS });

const layer: Norm = (scope, x, channels) => {
  const [weight, bias] = scaleAndShift(scope, channels);
  return layerNorm(x, { axis: 1, eps: EPS, weight, bias });
};

/**
 * Batch normalization. In training it uses the batch's mean and biased variance, and records the update of the running
 * statistics (with the unbiased variance), as PyTorch does. Where ranks share the batch, it is the whole batch's on all of them.
 */
const batchNorm: Norm = (scope, x, channels) => {
  const buffer = { trainable: false } as const;
  const runningMean = scope.parameter("running_mean", [channels], buffer);
  const runningVar = scope.parameter("running_var", [channels], { ...buffer, init: ONES });
  // Inference doesn't read the counter, but it is part of the checkpoint.
  const counter = scope.parameter("num_batches_tracked", [], { ...buffer, dtype: "int64" });
  if (!scope.training) {
    const [weight, bias] = scaleAndShift(scope, channels);
    // One scale and one shift per channel: constants that the engine folds into the convolution before.
    const scale = div(weight, sqrt(add(runningVar, EPS)));
    return channelAffine(x, scale, sub(bias, mul(runningMean, scale)));
  }
  const axes = [0, 2, 3];
  const { ranks = 1 } = scope;
  const mean = meanOverRanks(reduceMean(x, axes, { keepDims: true }), ranks);
  const centered = sub(x, mean);
  const variance = meanOverRanks(reduceMean(square(centered), axes, { keepDims: true }), ranks);
  const rows = shapeSize(axes.map((axis) => x.shape[axis] ?? 1));
  if (typeof rows === "number") {
    const count = rows * ranks;
    const unbiased = mul(reshape(variance, [channels]), count / Math.max(count - 1, 1));
    scope.update("running_mean", add(mul(runningMean, 1 - MOMENTUM), mul(reshape(mean, [channels]), MOMENTUM)));
    scope.update("running_var", add(mul(runningVar, 1 - MOMENTUM), mul(unbiased, MOMENTUM)));
    scope.update("num_batches_tracked", add(counter, 1));
  }
  return channelAffine(div(centered, sqrt(add(variance, EPS))), ...scaleAndShift(scope, channels));
};

const norms: Readonly<Record<NormName, Norm>> = {
  trms2d: rms,
  rms2d: rms,
  ln2d: layer,
  bn2d: batchNorm,
};

/** Normalization `name` of x [N, C, H, W] with parameters `weight`, `bias` (and buffers) of `scope`; null: x itself. */
export function norm(scope: Scope, x: Value, name: NormName | null): Value {
  const channels = x.shape[1];
  return name === null ? x : norms[name](scope, x, channels as number);
}

const activations: Readonly<Record<ActName, (x: Value) => Value>> = {
  relu,
  relu6,
  hswish: hardSwish,
  silu,
  gelu: geluTanh,
  gelu_erf: gelu,
  mish,
  linear: (x) => x,
  lrelu: (x) => leakyRelu(x, 0.2),
};

/** Activation `name` of x; null is the identity. */
export function activation(x: Value, name: ActName | null): Value {
  return name === null ? x : activations[name](x);
}
