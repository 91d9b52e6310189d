/**
 * The loss that most objectives share, and those objectives: the model regresses a combination of data and noise.
 *
 * x_t = signal * x_0 + noiseScale * noise, target = targetSignal * x_0 + targetNoise * noise, and the loss is the mean of
 * weight * (outputScale * output - target)^2. Objectives differ in these numbers only.
 */

import { ConfigError } from "@dcae/core";
import { add, mul, reduceMean, square, sub, type Value } from "@dcae/core/graph";
import { type InterpolantName, interpolant, sanaSchedule } from "../schedules/flow-schedule.js";
import { type NoisePredictionSchedule, noisePredictionSchedule } from "../schedules/gaussian-schedule.js";
import { type NoiseScheduleName, noiseSchedule } from "../schedules/noise-schedule.js";
import {
  elementMean,
  type Objective,
  type PerSample,
  perSampleFactor,
  uniformSteps,
  uniformTimes,
} from "./objective.js";

const REGRESSION_INPUTS = [
  "time",
  "signal",
  "noiseScale",
  "targetSignal",
  "targetNoise",
  "outputScale",
  "weight",
] as const;

/** The numbers of one sample. */
interface RegressionPoint {
  /** What the model is fed. */
  readonly time: number;
  readonly signal: number;
  readonly noiseScale: number;
  /** Default 0. */
  readonly targetSignal?: number;
  /** Default 0. */
  readonly targetNoise?: number;
  /** Default 1. */
  readonly outputScale?: number;
  /** Default 1. */
  readonly weight?: number;
}

interface Regression {
  readonly name: string;
  readonly sampleTimes: Objective["sampleTimes"];
  /** The numbers at one time. */
  at(time: number): RegressionPoint;
}

/** An objective from its numbers. */
function regressionObjective({ name, sampleTimes, at }: Regression): Objective {
  return {
    name,
    inputs: REGRESSION_INPUTS,
    sampleTimes,
    coefficients(times): PerSample {
      const points = Array.from(times, (time) => ({
        targetSignal: 0,
        targetNoise: 0,
        outputScale: 1,
        weight: 1,
        ...at(time),
      }));
      return Object.fromEntries(
        REGRESSION_INPUTS.map((key) => [key, Float32Array.from(points, (point) => point[key])]),
      );
    },
    loss(predict, latents, noise, perSample, mask) {
      const combine = (signal: Value, scale: Value) =>
        add(mul(perSampleFactor(signal), latents), mul(perSampleFactor(scale), noise));
      // Every name of `inputs` is given.
      const { time, signal, noiseScale, targetSignal, targetNoise, outputScale, weight } = perSample as Readonly<
        Record<(typeof REGRESSION_INPUTS)[number], Value>
      >;
      const noisy = combine(signal, noiseScale);
      const prediction = predict(noisy, time);
      const error = sub(mul(perSampleFactor(outputScale), prediction), combine(targetSignal, targetNoise));
      const mse = mul(weight, elementMean(square(error), mask));
      return { loss: reduceMean(mse), terms: { mse }, constants: [], noisy, prediction };
    },
  };
}

// UViT's objective: predict the noise of a discrete schedule (official "DPM_Solver"; diffusion.md 8.1).

/**
 * Times are steps 1..N, which the model is fed as they are.
 *
 * @example
 * ```ts
 * import { createRandom } from "@dcae/core/graph";
 * import { noisePrediction } from "@dcae/diffusion";
 *
 * const objective = noisePrediction();
 * console.log(objective.coefficients(objective.sampleTimes(createRandom(0, "times"), 4)));
 * ```
 */
export function noisePrediction(schedule: NoisePredictionSchedule = noisePredictionSchedule()): Objective {
  return regressionObjective({
    name: "noise prediction",
    sampleTimes: (random, batch) => uniformSteps(random, batch, 1, schedule.steps),
    at: (n) => ({
      time: n,
      signal: Math.sqrt(schedule.cumAlphas[n] as number),
      noiseScale: Math.sqrt(schedule.cumBetas[n] as number),
      targetNoise: 1,
    }),
  });
}

// Flow matching along an interpolant (official "SiTSampler"; SiT, Ma et al., 2024; diffusion.md 8.3): t = 0 is noise, t = 1 data.
//
// USiT and SiT are trained with the linear interpolant and the velocity as target.

export type FlowPrediction = "velocity" | "noise" | "score";

export interface FlowMatchingOptions {
  readonly path?: InterpolantName;
  readonly prediction?: FlowPrediction;
  /** Weight of the loss, for noise and score. */
  readonly weight?: "none" | "velocity" | "likelihood";
  /** Distance that times keep from 0 and 1 for noise and score (default 1e-3; velocity keeps none). */
  readonly epsilon?: number;
}

/** Times are t in [0, 1), which the model is fed as they are. */
export function flowMatching(options: FlowMatchingOptions = {}): Objective {
  const { path = "Linear", prediction = "velocity", weight = "none", epsilon = 1e-3 } = options;
  if (prediction === "velocity" && (weight !== "none" || options.epsilon !== undefined)) {
    throw new ConfigError("flowMatching: weight and epsilon have no effect on velocity prediction");
  }
  const { alpha, dAlpha, sigma, dSigma, driftVariance } = interpolant(path);
  const weights: Readonly<Record<typeof weight, (t: number) => number>> = {
    none: () => 1,
    velocity: (t) => (driftVariance(t) / sigma(t)) ** 2,
    likelihood: (t) => driftVariance(t) / sigma(t) ** 2,
  };
  const targets: Readonly<Record<FlowPrediction, (t: number) => Partial<RegressionPoint>>> = {
    velocity: (t) => ({ targetSignal: dAlpha(t), targetNoise: dSigma(t) }),
    noise: (t) => ({ targetNoise: 1, weight: weights[weight](t) }),
    score: (t) => ({ targetNoise: -1, outputScale: sigma(t), weight: weights[weight](t) }),
  };
  const margin = prediction === "velocity" ? 0 : epsilon;
  return regressionObjective({
    name: `flow matching (${path}, ${prediction})`,
    sampleTimes: (random, batch) => uniformTimes(random, batch, margin, 1 - margin),
    at: (t) => ({ time: t, signal: alpha(t), noiseScale: sigma(t), ...targets[prediction](t) }),
  });
}

// SANA's flow objective (official "SanaScheduler"; diffusion.md 8.4): a shifted schedule, times from a logit-normal
// distribution, the velocity from data to noise as target, and an integer model time.

/** Index of the schedule that a standard normal draw selects. */
export function logitNormalIndex(normal: number, steps: number): number {
  return Math.min(Math.floor(steps / (1 + Math.exp(-normal))), steps - 1);
}

/** Times are indices into the schedule. */
export function sanaFlow(shift = 3): Objective {
  const { sigmas, modelTimes } = sanaSchedule(shift);
  return regressionObjective({
    name: "SANA flow",
    sampleTimes: (random, batch) =>
      Float64Array.from({ length: batch }, () => logitNormalIndex(random.nextNormal(), sigmas.length)),
    at: (index) => ({
      time: modelTimes[index] as number,
      signal: 1 - (sigmas[index] as number),
      noiseScale: sigmas[index] as number,
      targetSignal: -1,
      targetNoise: 1,
    }),
  });
}

// The configurable objective of the newer official code ("UniTrainScheduler"; diffusion.md 8.5): any continuous schedule, any
// target. Time runs from 0 (data) to 1 (noise).

export type UniPrediction = "noise" | "data" | "velocity" | "score";
export type TimeInput = "continuous" | "discrete_999" | "discrete_1000";

export interface UniObjectiveOptions {
  readonly schedule?: NoiseScheduleName;
  readonly prediction?: UniPrediction;
  /** What the model is fed: t, or 1000 t - 1 or 1000 t of a t rounded to 1/1000. */
  readonly timeInput?: TimeInput;
  /** Feed 1 - t, and negate the velocity. */
  readonly reverseTime?: boolean;
  /** Range of t (default 1e-5 to 1). */
  readonly timeRange?: readonly [low: number, high: number];
  /** How t is drawn: uniformly, uniformly in log-SNR, or as the sigmoid of a normal. */
  readonly distribution?: "uniform" | "log-snr" | "logit-normal";
}

/** Times are t in the range given. */
export function uniObjective(options: UniObjectiveOptions = {}): Objective {
  const { prediction = "velocity", timeInput = "continuous", reverseTime = false, distribution = "uniform" } = options;
  const { timeRange: [low, high] = [1e-5, 1] } = options;
  const { alpha, sigma, dAlpha, dSigma, lambda, time } = noiseSchedule(options.schedule ?? "linear_flow");
  const direction = reverseTime ? -1 : 1;
  const targets: Readonly<Record<UniPrediction, (t: number) => Partial<RegressionPoint>>> = {
    noise: () => ({ targetNoise: 1 }),
    data: () => ({ targetSignal: 1 }),
    velocity: (t) => ({ targetSignal: direction * dAlpha(t), targetNoise: direction * dSigma(t) }),
    score: (t) => ({ targetNoise: -1 / sigma(t) }),
  };
  return regressionObjective({
    name: `${options.schedule ?? "linear_flow"} (${prediction})`,
    sampleTimes(random, batch) {
      if (distribution === "logit-normal") {
        return Float64Array.from({ length: batch }, () => 1 / (1 + Math.exp(-random.nextNormal())));
      }
      if (distribution === "uniform") return uniformTimes(random, batch, low, high);
      return uniformTimes(random, batch, lambda(high), lambda(low)).map(time);
    },
    at(drawn) {
      const t = timeInput === "continuous" ? drawn : Math.fround(Math.round(1000 * drawn) / 1000);
      return {
        time: modelTime(t, timeInput, reverseTime),
        signal: alpha(t),
        noiseScale: sigma(t),
        ...targets[prediction](t),
      };
    },
  });
}

/** What the model is fed at time t. */
export function modelTime(t: number, timeInput: TimeInput, reverseTime: boolean): number {
  const directed = reverseTime ? 1 - t : t;
  if (timeInput === "continuous") return directed;
  return Math.round(1000 * directed) - (timeInput === "discrete_999" ? 1 : 0);
}
