/**
 * All coefficients of Gaussian diffusion (Ho et al., 2020; diffusion.md 8.2 and 9.2), in double.
 *
 * A respaced schedule is a schedule of its own: fewer, larger betas, with a map back to the steps the model knows.
 */
import { type BetaSchedule, gaussianBetas } from "./betas.js";
import { respacedSteps } from "./respacing.js";

export interface GaussianSchedule {
  readonly steps: number;
  /** Original step index of each step: what the model is fed. */
  readonly timestepMap: Int32Array;
  readonly betas: Float64Array;
  readonly alphasCumprod: Float64Array;
  /** 1 first. */
  readonly alphasCumprodPrev: Float64Array;
  readonly sqrtAlphasCumprod: Float64Array;
  readonly sqrtOneMinusAlphasCumprod: Float64Array;
  readonly sqrtRecipAlphasCumprod: Float64Array;
  readonly sqrtRecipm1AlphasCumprod: Float64Array;
  /** Of q(x_{t-1} | x_t, x_0). */
  readonly posteriorVariance: Float64Array;
  /** Its logarithm, where step 0 (variance 0) takes the value of step 1. */
  readonly posteriorLogVariance: Float64Array;
  /** On x_0. */
  readonly posteriorMeanCoef1: Float64Array;
  /** On x_t. */
  readonly posteriorMeanCoef2: Float64Array;
}

export interface GaussianScheduleOptions {
  readonly betaSchedule?: BetaSchedule;
  /** Steps the model was trained on (default 1000). */
  readonly trainSteps?: number;
  /** Which steps to keep, see `respacedSteps` (default all). */
  readonly respacing?: string;
}

function cumulativeProduct(betas: Float64Array): Float64Array {
  let product = 1;
  return betas.map((beta) => {
    product *= 1 - beta;
    return product;
  });
}

export function gaussianSchedule(options: GaussianScheduleOptions = {}): GaussianSchedule {
  const { betaSchedule = "linear", trainSteps = 1000, respacing } = options;
  const all = gaussianBetas(betaSchedule, trainSteps);
  if (respacing === undefined) return fromBetas(all, Int32Array.from(all.keys()));
  const kept = respacedSteps(respacing, trainSteps);
  const cumulative = cumulativeProduct(all);
  let previous = 1;
  const betas = Float64Array.from(kept, (step) => {
    const current = cumulative[step] as number;
    const beta = 1 - current / previous;
    previous = current;
    return beta;
  });
  return fromBetas(betas, kept);
}

function fromBetas(betas: Float64Array, timestepMap: Int32Array): GaussianSchedule {
  const ac = cumulativeProduct(betas);
  const prev = Float64Array.from([1, ...ac.subarray(0, -1)]);
  const table = (entry: (beta: number, ac: number, prev: number) => number) =>
    betas.map((beta, i) => entry(beta, ac[i] as number, prev[i] as number));
  const posteriorVariance = table((beta, a, p) => (beta * (1 - p)) / (1 - a));
  return {
    steps: betas.length,
    timestepMap,
    betas,
    alphasCumprod: ac,
    alphasCumprodPrev: prev,
    sqrtAlphasCumprod: ac.map(Math.sqrt),
    sqrtOneMinusAlphasCumprod: ac.map((a) => Math.sqrt(1 - a)),
    sqrtRecipAlphasCumprod: ac.map((a) => Math.sqrt(1 / a)),
    sqrtRecipm1AlphasCumprod: ac.map((a) => Math.sqrt(1 / a - 1)),
    posteriorVariance,
    posteriorLogVariance: posteriorVariance.map((variance, i) =>
      Math.log(i === 0 ? (posteriorVariance[1] ?? variance) : variance),
    ),
    posteriorMeanCoef1: table((beta, a, p) => (beta * Math.sqrt(p)) / (1 - a)),
    posteriorMeanCoef2: table((beta, a, p) => ((1 - p) * Math.sqrt(1 - beta)) / (1 - a)),
  };
}
