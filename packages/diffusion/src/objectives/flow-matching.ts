/**
 * Flow matching along an interpolant (official "SiTSampler"; SiT, Ma et al., 2024; diffusion.md 8.3): t = 0 is noise, t = 1 data.
 *
 * USiT and SiT are trained with the linear interpolant and the velocity as target.
 */
import { ConfigError } from "@dcae/core";
import { type InterpolantName, interpolant } from "../schedules/interpolant.js";
import { type Objective, uniformTimes } from "./objective.js";
import { type RegressionPoint, regressionObjective } from "./regression.js";

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
