/**
 * Normalizations over channels (dcae.md 1.3), keyed by their official names. All have eps 1e-5, weight and bias.
 */
import { shapeSize } from "../graph/dim.js";
import { layerNorm, rmsNorm } from "../graph/ops/composites.js";
import { add, channelAffine, div, mul, reduceMean, sqrt, square, sub } from "../graph/ops/elementwise.js";
import { reshape } from "../graph/ops/layout.js";
import { ONES, type Scope } from "../graph/scope.js";
import type { Value } from "../graph/value.js";
import type { NormName } from "./block-spec.js";

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
 * statistics (with the unbiased variance), as PyTorch does.
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
  const mean = reduceMean(x, axes, { keepDims: true });
  const centered = sub(x, mean);
  const variance = reduceMean(square(centered), axes, { keepDims: true });
  const count = shapeSize(axes.map((axis) => x.shape[axis] ?? 1));
  if (typeof count === "number") {
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
