/** The loss of a denoiser as one graph function of a scope and named inputs, as a trainer takes it. */
import { ConfigError } from "@dcae/core";
import { input, reduceMean, type Scope, type Value } from "@dcae/core/graph";
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
 */
export function diffusionInputs(config: DenoiserConfig, objective: Objective, batch: number): Record<string, Value> {
  const { inputSize, inChannels, numClasses } = config;
  const shape = [batch, inChannels, inputSize, inputSize];
  const perSample = objective.inputs.map((name) => [name, input(name, [batch])] as const);
  return {
    latents: input("latents", shape),
    noise: input("noise", shape),
    ...(numClasses === 0 ? {} : { labels: input("labels", [batch], "int32") }),
    ...Object.fromEntries(perSample),
  };
}

/**
 * The loss of a denoiser under an objective.
 *
 * @throws ConfigError when an input is missing
 */
export function diffusionLoss(
  scope: Scope,
  config: DenoiserConfig,
  objective: Objective,
  inputs: Readonly<Record<string, Value>>,
): ObjectiveLoss {
  const { latents, noise, labels, ...perSample } = inputs;
  if (latents === undefined || noise === undefined) throw new ConfigError("diffusionLoss: needs latents and noise");
  const predict = (noisy: Value, time: Value) => denoise(scope, noisy, time, labels, config);
  return objective.loss(predict, latents, noise, perSample);
}

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
 */
export function trainingLoss(
  config: DenoiserConfig,
  objective: Objective,
  batch: number,
): (scope: Scope) => TrainingLoss {
  return (scope) => {
    const inputs = diffusionInputs(config, objective, batch);
    const { loss, terms, constants } = diffusionLoss(scope, config, objective, inputs);
    const means = Object.entries(terms).map(([name, value]) => [name, reduceMean(value)] as const);
    return { loss, metrics: Object.fromEntries(means), constants };
  };
}
