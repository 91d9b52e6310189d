/** The loss of a denoiser as one graph function of a scope and named inputs, as a trainer takes it. */
import { ConfigError } from "@dcae/core";
import { concat, input, mul, reduceMean, type Scope, type Value } from "@dcae/core/graph";
import { denoise } from "../denoisers/denoise.js";
import type { DenoiserConfig, Recipe } from "../denoisers/denoiser-config.js";
import { gaussianDiffusion } from "./gaussian-diffusion.js";
import type { Objective, ObjectiveLoss } from "./objective.js";
import { flowMatching, noisePrediction, sanaFlow, uniObjective } from "./regression.js";

/** The objective that a recipe names, with the published settings. */
export function objectiveOf(recipe: Pick<Recipe, "trainScheduler">): Objective {
  switch (recipe.trainScheduler) {
    case "DPM_Solver":
      return noisePrediction();
    case "GaussianDiffusion":
      return gaussianDiffusion();
    case "SiTSampler":
      return flowMatching();
    case "SanaScheduler":
      return sanaFlow();
    case "UniTrainScheduler":
      return uniObjective();
  }
}

/**
 * The inputs of a training step: `latents` [B, C, S, S] (scaled), `noise` (same), `labels` int32 [B] where the model has
 * classes, and the objective's numbers per sample.
 *
 * @param masked with `mask` [1, C, 1, 1] as well, for adaptive models: 1 for the first channels, which the loss is about, and 0 for
 *   the others
 */
export function diffusionInputs(
  config: DenoiserConfig,
  objective: Objective,
  batch: number,
  masked = false,
): Record<string, Value> {
  const { inputSize, inChannels, numClasses } = config;
  const shape = [batch, inChannels, inputSize, inputSize];
  const perSample = objective.inputs.map((name) => [name, input(name, [batch])] as const);
  return {
    latents: input("latents", shape),
    noise: input("noise", shape),
    ...(numClasses === 0 ? {} : { labels: input("labels", [batch], "int32") }),
    ...Object.fromEntries(perSample),
    ...(masked ? { mask: input("mask", [1, inChannels, 1, 1]) } : {}),
  };
}

/**
 * The loss of a denoiser under an objective.
 *
 * With a mask of the first c channels it is the loss of an adaptive model on latents of c channels (DC-AE 1.5's augmented training;
 * diffusion.md section 8.6): its projections are linear in the channels, so zeros in place of the others change nothing, and one
 * program serves all c.
 *
 * @throws ConfigError when an input is missing, or a mask is given to a model that isn't adaptive or has patches of several positions
 */
export function diffusionLoss(
  scope: Scope,
  config: DenoiserConfig,
  objective: Objective,
  inputs: Readonly<Record<string, Value>>,
): ObjectiveLoss {
  const { latents, noise, labels, mask, ...perSample } = inputs;
  if (latents === undefined || noise === undefined) throw new ConfigError("diffusionLoss: needs latents and noise");
  const predict = (noisy: Value, time: Value) => denoise(scope, noisy, time, labels, config);
  if (mask === undefined) return objective.loss(predict, latents, noise, perSample);
  checkMaskable(config);
  const predictMasked = (noisy: Value, time: Value) => {
    const output = predict(noisy, time);
    return mul(output, output.shape[1] === mask.shape[1] ? mask : concat([mask, mask], 1));
  };
  return objective.loss(predictMasked, mul(latents, mask), mul(noise, mask), perSample, mask);
}

/**
 * The first c * p * p rows of an output projection hold all of the first c channels only where p is 1: with larger patches the channel
 * is what changes fastest (diffusion.md section 4), and a row would mean another channel for each c.
 */
function checkMaskable({ adaptiveChannel, patchSize }: DenoiserConfig): void {
  if (!adaptiveChannel) {
    throw new ConfigError("diffusionLoss: the model isn't adaptive, it takes all channels", {
      hint: "Set adaptive_channel.",
    });
  }
  if (patchSize === 1) return;
  throw new ConfigError(`diffusionLoss: counts of channels need patches of 1 position, the model's have ${patchSize}`, {
    hint: "Set patch_size to 1, as DC-AE's latents are taken.",
  });
}

/** The loss of a denoiser as values of a graph. */
export interface TrainingLoss {
  readonly loss: Value;
  /** Means over the batch, scalars. */
  readonly metrics: Readonly<Record<string, Value>>;
  readonly constants: readonly Value[];
}

/**
 * The loss as a function of a scope alone, which makes its own inputs (`diffusionInputs`): what a trainer takes.
 *
 * @param batch samples per step
 * @param masked see `diffusionInputs`
 */
export function trainingLoss(
  config: DenoiserConfig,
  objective: Objective,
  batch: number,
  masked = false,
): (scope: Scope) => TrainingLoss {
  return (scope) => {
    const inputs = diffusionInputs(config, objective, batch, masked);
    const { loss, terms, constants } = diffusionLoss(scope, config, objective, inputs);
    const means = Object.entries(terms).map(([name, value]) => [name, reduceMean(value)] as const);
    return { loss, metrics: Object.fromEntries(means), constants };
  };
}
