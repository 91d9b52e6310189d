/** Any denoiser as one function of a scope and values, and as a program. */
import { ConfigError, ShapeError } from "@dcae/core";
import {
  countMacs,
  createProgram,
  createScope,
  type Dim,
  input,
  type ParameterSpec,
  type Program,
  type Scope,
  sizeOf,
  type Value,
} from "@dcae/core/graph";
import { type DenoiserConfig, tokenCount } from "./denoiser-config.js";
import { dit } from "./dit.js";
import type { OnHidden } from "./layers.js";
import { sanaCls } from "./sana-cls.js";
import { uvit } from "./uvit.js";

/**
 * The prediction of a denoiser.
 *
 * @param x noisy latents [B, C, S, S]; adaptive models take fewer channels
 * @param t float32 model times [B]
 * @param labels int32 [B] in 0..numClasses (the last one is the null class); undefined for models without classes
 * @returns [B, C, S, S], or [B, 2C, S, S] with a learned sigma
 * @throws ShapeError when x doesn't fit the configuration, ConfigError when labels are missing or have no effect
 */
export function denoise(
  scope: Scope,
  x: Value,
  t: Value,
  labels: Value | undefined,
  config: DenoiserConfig,
  onHidden?: OnHidden,
): Value {
  checkLatent(x, config);
  if ((config.numClasses === 0) !== (labels === undefined)) {
    throw new ConfigError(
      labels === undefined
        ? `denoise: the model has ${config.numClasses} classes and needs labels`
        : "denoise: the model has no classes, labels would have no effect",
    );
  }
  switch (config.arch) {
    case "uvit":
      return uvit(scope, x, t, labels, config, onHidden);
    case "dit":
      return dit(scope, x, t, labels, config, onHidden);
    case "sana_cls":
      return sanaCls(scope, x, t, labels, config, onHidden);
  }
}

function checkLatent(x: Value, { inputSize, inChannels, adaptiveChannel }: DenoiserConfig): void {
  const [, channels, height, width] = x.shape as readonly number[];
  const fits = adaptiveChannel ? (channels ?? 0) >= 1 && (channels ?? 0) <= inChannels : channels === inChannels;
  if (x.shape.length !== 4 || !fits || height !== inputSize || width !== inputSize) {
    throw new ShapeError(
      `denoise: the model takes latents [B, ${adaptiveChannel ? "1.." : ""}${inChannels}, ${inputSize}, ${inputSize}], got [${x.shape.join(", ")}]`,
    );
  }
}

/** All parameters of a denoiser, under official names, in the order of first use. */
export function denoiserParameters(config: DenoiserConfig): readonly ParameterSpec[] {
  const scope = createScope();
  const [x, t, labels] = denoiserInputs(config, 1, config.inChannels);
  denoise(scope, x, t, labels, config);
  return [...scope.parameters.values()];
}

function denoiserInputs(config: DenoiserConfig, batch: Dim, channels: number): [Value, Value, Value | undefined] {
  const { inputSize, numClasses } = config;
  const x = input("x", [batch, channels, inputSize, inputSize]);
  return [x, input("t", [batch]), numClasses === 0 ? undefined : input("labels", [batch], "int32")];
}

/**
 * One forward pass as a program: inputs `x` [B, C, S, S], `t` [B] and `labels` int32 [B] (where there are classes), output `y`.
 *
 * @param batch a number, or a symbol in programs that are exported
 * @param channels fewer than the model's for adaptive models
 * @param scope where the parameters are, by default under their official names
 */
export function buildDenoiseProgram(
  config: DenoiserConfig,
  batch: Dim,
  channels = config.inChannels,
  scope: Scope = createScope(),
): Program {
  const [x, t, labels] = denoiserInputs(config, batch, channels);
  return createProgram("denoise", { y: denoise(scope, x, t, labels, config) });
}

export interface DenoiserCost {
  /** Patch tokens of a latent. */
  readonly tokens: number;
  readonly parameters: number;
  /** 10^9 multiply-accumulates of matrix products and convolutions, of one forward pass of one latent. */
  readonly gmacs: number;
}

export function denoiserCost(config: DenoiserConfig): DenoiserCost {
  return {
    tokens: tokenCount(config),
    parameters: denoiserParameters(config).reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    gmacs: countMacs(buildDenoiseProgram(config, 1)) / 1e9,
  };
}
