/** Convolutions with their parameters: the bare `conv` and the official `ConvLayer` (dcae.md 1.5). */
import { conv2d } from "../graph/ops/linear.js";
import type { Scope } from "../graph/scope.js";
import type { Initializer, Padding2d, Value } from "../graph/value.js";
import { activation } from "./activation.js";
import type { ActName, NormName } from "./block-spec.js";
import { norm } from "./norm.js";

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

export interface ConvLayerOptions extends ConvOptions {
  readonly norm?: NormName | null;
  readonly act?: ActName | null;
}

/** conv -> norm? -> act?, with parameters below `conv` and `norm`. */
export function convLayer(scope: Scope, x: Value, options: ConvLayerOptions): Value {
  const y = norm(scope.at("norm"), conv(scope.at("conv"), x, options), options.norm ?? null);
  return activation(y, options.act ?? null);
}
