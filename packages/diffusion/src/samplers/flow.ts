/**
 * A flow model as an equation of motion (SiT, Ma et al., 2024; diffusion.md 8.3 and 9.4): velocity and score of the state from
 * whatever the model predicts. t = 0 is noise, t = 1 data.
 */

import type { FlowPrediction } from "../objectives/flow-matching.js";
import { type InterpolantName, interpolant } from "../schedules/interpolant.js";
import { combine } from "./sampler.js";

export interface FlowOptions {
  readonly path?: InterpolantName;
  /** What the model predicts (default velocity, as USiT and SiT). */
  readonly prediction?: FlowPrediction;
  /** Distance kept from t = 0 and 1 (default 0 for velocity, 1e-3 otherwise). */
  readonly epsilon?: number;
}

export interface Flow {
  /** Where integration starts and ends. */
  readonly range: readonly [start: number, end: number];
  /** dx/dt of the probability flow at x, from the model's output there. */
  velocity(x: Float32Array, t: number, output: Float32Array): Float32Array;
  /** Gradient of the log density. */
  score(x: Float32Array, t: number, output: Float32Array): Float32Array;
}

export function flow(options: FlowOptions = {}): Flow {
  const { path = "Linear", prediction = "velocity" } = options;
  const epsilon = options.epsilon ?? (prediction === "velocity" ? 0 : 1e-3);
  const { alpha, dAlpha, sigma, dSigma, dLogAlpha, driftVariance } = interpolant(path);
  const score: Flow["score"] = (x, t, output) => {
    if (prediction === "score") return output;
    if (prediction === "noise") return combine([-1 / sigma(t), output]);
    const ratio = alpha(t) / dAlpha(t);
    const variance = sigma(t) ** 2 - ratio * dSigma(t) * sigma(t);
    return combine([ratio / variance, output], [-1 / variance, x]);
  };
  return {
    range: [epsilon, 1 - epsilon],
    score,
    velocity(x, t, output) {
      if (prediction === "velocity") return output;
      return combine([dLogAlpha(t), x], [driftVariance(t), score(x, t, output)]);
    },
  };
}
