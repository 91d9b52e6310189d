/**
 * What a denoiser is trained for: a loss as a graph, and what it draws at random for each batch.
 *
 * All that depends on a sample's time (schedule coefficients, weights) is computed on the host in double and fed as one
 * number per sample, so the graph holds no tables and any trainer can run it. Draws come from the seeded host generator.
 */

import { ConfigError } from "@dcae/core";
import { createRandom, div, mul, type Random, reduceMean, reshape, sizeOf, Tensor, type Value } from "@dcae/core/graph";
import { type DenoiserConfig, nullLabel } from "../denoisers/denoiser-config.js";

/** Numbers per sample, by name; each has the length of the batch. */
export type PerSample = Readonly<Record<string, Float32Array>>;

export interface ObjectiveLoss {
  /** Scalar: mean over the batch. */
  readonly loss: Value;
  /** Per sample [B], for logs. */
  readonly terms: Readonly<Record<string, Value>>;
  /** Values that no gradient may pass (give them to `gradients` as constants). */
  readonly constants: readonly Value[];
  /** What the model was given, and what it said. */
  readonly noisy: Value;
  readonly prediction: Value;
}

/** The denoiser under training: noisy latents [B, C, S, S] and model times [B] to its output. */
export type Predict = (noisy: Value, time: Value) => Value;

/** What a denoiser is trained to predict: draws times, and gives the loss of a prediction. */
export interface Objective {
  readonly name: string;
  /** Names of the numbers per sample that `coefficients` gives and `loss` takes. */
  readonly inputs: readonly string[];
  /** Random times of a batch, in the objective's own unit (a step, an index, or a time in [0, 1]). */
  sampleTimes(random: Random, batch: number): Float64Array;
  /** Everything that depends on the times. */
  coefficients(times: ArrayLike<number>): PerSample;
  /**
   * @param latents scaled latents [B, C, S, S]
   * @param noise standard normal, same shape
   * @param perSample a value [B] per name of `inputs`
   * @param mask [1, C, 1, 1]: 1 for the channels that the loss is about, 0 for those of `latents` and `noise` that are 0 (default: all)
   */
  loss(
    predict: Predict,
    latents: Value,
    noise: Value,
    perSample: Readonly<Record<string, Value>>,
    mask?: Value,
  ): ObjectiveLoss;
}

/** The inputs of one training step beside latents and labels: `noise` and the objective's numbers per sample. */
export function drawObjective(objective: Objective, random: Random, shape: readonly number[]): Record<string, Tensor> {
  const noise = Tensor.float32(random.normal(new Float32Array(sizeOf(shape))), shape);
  const perSample = objective.coefficients(objective.sampleTimes(random, shape[0] ?? 0));
  const tensors = Object.entries(perSample).map(([name, values]) => [name, Tensor.float32(values)] as const);
  return { noise, ...Object.fromEntries(tensors) };
}

/** Means per sample [B] of a value [B, C, S, S] over the channels that take part. */
export function elementMean(value: Value, mask?: Value): Value {
  if (mask === undefined) return reduceMean(value, [1, 2, 3]);
  return div(reduceMean(mul(value, mask), [1, 2, 3]), reduceMean(mask));
}

/** A value [B] as [B, 1, 1, 1], to act on latents. */
export function perSampleFactor(value: Value): Value {
  return reshape(value, [value.shape[0] ?? 1, 1, 1, 1]);
}

/** Uniform times in [low, high). */
export function uniformTimes(random: Random, batch: number, low: number, high: number): Float64Array {
  return random.uniform(new Float64Array(batch), low, high);
}

/** Uniform integers low..high, both included. */
export function uniformSteps(random: Random, batch: number, low: number, high: number): Float64Array {
  return Float64Array.from({ length: batch }, () => low + random.nextInteger(high - low + 1));
}

/** A generator for the step `step` of a run; steps don't depend on each other, so a resumed run draws the same. */
export function stepRandom(seed: number | bigint, step: number): Random {
  return createRandom(seed, `diffusion step ${step}`);
}

// Labels replaced by the null class at random, so that one model learns to predict with and without (diffusion.md section 6).

/**
 * The labels of a training batch, int32 [B].
 *
 * @param labels classes in 0..numClasses-1
 * @throws ConfigError for a label that isn't a class
 */
export function dropLabels(labels: ArrayLike<number>, config: DenoiserConfig, random: Random): Tensor<"int32"> {
  const none = nullLabel(config);
  const dropped = Int32Array.from(labels, (label) => {
    if (!(Number.isInteger(label) && label >= 0 && label < config.numClasses)) {
      throw new ConfigError(`label ${label} isn't a class: the model has ${config.numClasses}`);
    }
    return none !== undefined && random.nextUniform() < config.classDropoutProb ? none : label;
  });
  return new Tensor("int32", dropped, [dropped.length]);
}
