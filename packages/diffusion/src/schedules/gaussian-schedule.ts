/**
 * Schedules of N discrete steps, in double: the noise of each step, which steps a shorter sampler keeps, all coefficients of Gaussian
 * diffusion (Ho et al., 2020; diffusion.md 8.2 and 9.2), and the schedule of UViT's noise model (8.1).
 *
 * A respaced schedule is a schedule of its own: fewer, larger betas, with a map back to the steps the model knows.
 */

import { ConfigError } from "@dcae/core";
import { linspace, roundHalfEven } from "./rounding.js";

// Variance schedules: the noise added at each of N steps, in double (diffusion.md sections 8.1 and 8.2).

export type BetaSchedule = "linear" | "squaredcos_cap_v2";

/** Schedules of Gaussian diffusion (Ho et al., 2020; Nichol and Dhariwal, 2021) for n steps. */
export function gaussianBetas(schedule: BetaSchedule, n: number): Float64Array {
  if (schedule === "linear") {
    const scale = 1000 / n;
    return linspace(scale * 0.0001, scale * 0.02, n);
  }
  const alphaBar = (t: number) => Math.cos(((t + 0.008) / 1.008) * (Math.PI / 2)) ** 2;
  return Float64Array.from({ length: n }, (_, i) => Math.min(1 - alphaBar((i + 1) / n) / alphaBar(i / n), 0.999));
}

/** The schedule of Stable Diffusion, on which UViT's noise model is trained: linear in the square root. */
export function stableDiffusionBetas(n = 1000): Float64Array {
  return linspace(Math.sqrt(0.00085), Math.sqrt(0.012), n).map((root) => root * root);
}

// Which of N diffusion steps a shorter sampler keeps (Nichol and Dhariwal, 2021; diffusion.md 9.2).

/**
 * Kept step indices, ascending.
 *
 * @param spec "250": that many, spread evenly; "10,15,20": counts of equal sections; "ddim50": a fixed integer stride
 * @throws ConfigError when a section has fewer steps than asked for, or no stride gives the count
 */
export function respacedSteps(spec: string, total: number): Int32Array {
  const ddim = /^ddim(\d+)$/.exec(spec)?.[1];
  if (ddim !== undefined) return stridedSteps(Number(ddim), total);
  const counts = spec.split(",").map(Number);
  if (!counts.every((count) => Number.isInteger(count) && count >= 1)) {
    throw new ConfigError(`respacing "${spec}": must be counts such as "250" or "10,15,20", or "ddim50"`);
  }
  const size = Math.floor(total / counts.length);
  const longer = total % counts.length;
  let start = 0;
  const kept = counts.flatMap((count, i) => {
    const length = size + (i < longer ? 1 : 0);
    if (length < count) throw new ConfigError(`respacing "${spec}": a section of ${length} steps can't give ${count}`);
    const section = sectionSteps(start, length, count);
    start += length;
    return section;
  });
  return Int32Array.from(kept);
}

/** Positions are accumulated and rounded half to even, as the reference does it. */
function sectionSteps(start: number, length: number, count: number): number[] {
  const stride = count === 1 ? 1 : (length - 1) / (count - 1);
  const steps: number[] = [];
  for (let i = 0, position = 0; i < count; i++, position += stride) steps.push(start + roundHalfEven(position));
  return steps;
}

function stridedSteps(count: number, total: number): Int32Array {
  for (let stride = 1; stride < total; stride++) {
    if (Math.ceil(total / stride) === count) return Int32Array.from({ length: count }, (_, i) => i * stride);
  }
  throw new ConfigError(`respacing "ddim${count}": no integer stride keeps ${count} of ${total} steps`);
}

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

// Fixed variances of the reverse steps of Gaussian diffusion (Ho et al., 2020), for models that don't learn them.

/** Log variance of each step: that of the posterior ("small"), or beta ("large", where step 0 takes the posterior's of step 1). */
export function fixedLogVariance(schedule: GaussianSchedule, kind: "fixed-large" | "fixed-small"): Float64Array {
  if (kind === "fixed-small") return schedule.posteriorLogVariance;
  return schedule.betas.map((beta, i) => Math.log(i === 0 ? (schedule.posteriorVariance[1] ?? beta) : beta));
}

// The discrete schedule on which UViT's noise model is trained (diffusion.md 8.1), in double.
//
// Index 0 is the clean latent, 1..N are the steps: x_n = sqrt(cumAlpha_n) x_0 + sqrt(cumBeta_n) noise.

export interface NoisePredictionSchedule {
  readonly steps: number;
  /** [N + 1], the first is 0. */
  readonly betas: Float64Array;
  readonly cumAlphas: Float64Array;
  readonly cumBetas: Float64Array;
}

/** @param stepBetas the N noise variances (default: the published schedule of 1000) */
export function noisePredictionSchedule(stepBetas: Float64Array = stableDiffusionBetas()): NoisePredictionSchedule {
  const steps = stepBetas.length;
  const betas = Float64Array.from([0, ...stepBetas]);
  const cumAlphas = new Float64Array(steps + 1).fill(1);
  const cumBetas = new Float64Array(steps + 1);
  for (let n = 1; n <= steps; n++) {
    const [beta, alpha] = [betas[n] as number, 1 - (betas[n] as number)];
    cumAlphas[n] = (cumAlphas[n - 1] as number) * alpha;
    // Summed, not 1 - cumAlpha: that would cancel at the first steps.
    cumBetas[n] = (cumBetas[n - 1] as number) * alpha + beta;
  }
  return { steps, betas, cumAlphas, cumBetas };
}
