/**
 * Samplers of Gaussian diffusion: DDPM (Ho et al., 2020), which adds noise at every step, and DDIM (Song et al., 2020), which
 * needn't (diffusion.md 9.2). DiT is sampled by DDPM with 250 of its 1000 steps.
 */
import { ConfigError, ShapeError } from "@dcae/core";
import { sizeOf } from "@dcae/core/graph";
import {
  type BetaSchedule,
  fixedLogVariance,
  type GaussianSchedule,
  gaussianSchedule,
} from "../schedules/gaussian-schedule.js";
import { combine, type Sampler, startTrajectory, type Trajectory } from "./sampler.js";

// What a model's output says about the previous step of Gaussian diffusion (diffusion.md 8.2): the mean and log variance of
// p(x_{t-1} | x_t), and the prediction of x_0.

export interface GaussianModelRule {
  readonly schedule: GaussianSchedule;
  /** What the first half of the output is. */
  readonly predict: "noise" | "data";
  readonly variance: "learned" | "fixed-large" | "fixed-small";
  /** Clip the prediction of x_0 to [-1, 1], as for pixels. */
  readonly clip: boolean;
}

export interface GaussianPrediction {
  readonly mean: Float32Array;
  readonly logVariance: Float32Array;
  /** The prediction of x_0. */
  readonly start: Float32Array;
}

/**
 * @param x states [B, C, S, S] at step i
 * @param output the model's, with twice the channels for a learned variance
 * @param sampleSize C * S * S
 */
export function gaussianPrediction(
  rule: GaussianModelRule,
  i: number,
  x: Float32Array,
  output: Float32Array,
  sampleSize: number,
): GaussianPrediction {
  const { schedule, predict, variance, clip } = rule;
  const learned = variance === "learned";
  if (output.length !== x.length * (learned ? 2 : 1)) {
    throw new ShapeError(
      `Gaussian diffusion: the output has ${output.length} numbers for ${x.length}, a ${variance} variance needs ${learned ? "twice" : "just"} as many`,
    );
  }
  const table = (values: ArrayLike<number>) => values[i] as number;
  const [recip, recipm1] = [table(schedule.sqrtRecipAlphasCumprod), table(schedule.sqrtRecipm1AlphasCumprod)];
  const [coef1, coef2] = [table(schedule.posteriorMeanCoef1), table(schedule.posteriorMeanCoef2)];
  const logBeta = Math.log(table(schedule.betas));
  const logPosterior = table(schedule.posteriorLogVariance);
  const fixed = learned ? 0 : table(fixedLogVariance(schedule, variance));
  const [mean, logVariance, start] = [
    new Float32Array(x.length),
    new Float32Array(x.length),
    new Float32Array(x.length),
  ];
  const stride = learned ? 2 : 1;
  for (let k = 0; k < x.length; k++) {
    const at = Math.floor(k / sampleSize) * stride * sampleSize + (k % sampleSize);
    const [state, predicted] = [x[k] as number, output[at] as number];
    const raw = predict === "data" ? predicted : recip * state - recipm1 * predicted;
    const cleaned = clip ? Math.min(Math.max(raw, -1), 1) : raw;
    start[k] = cleaned;
    mean[k] = coef1 * cleaned + coef2 * state;
    const fraction = learned ? ((output[at + sampleSize] as number) + 1) / 2 : 0;
    logVariance[k] = learned ? fraction * logBeta + (1 - fraction) * logPosterior : fixed;
  }
  return { mean, logVariance, start };
}

export interface DdpmOptions {
  /** Which of the 1000 steps to keep: a count (default 250), or a rule of `respacedSteps`. */
  readonly steps?: number | string;
  readonly betaSchedule?: BetaSchedule;
  readonly predict?: "noise" | "data";
  readonly variance?: "learned" | "fixed-large" | "fixed-small";
  /** Clip the prediction of x_0 to [-1, 1] (default false, latents aren't bounded). */
  readonly clip?: boolean;
}

export interface DdimOptions extends DdpmOptions {
  /** Share of DDPM's noise, 0 (none, default) to 1. */
  readonly eta?: number;
}

type NextState = (
  rule: GaussianModelRule,
  i: number,
  x: Float32Array,
  prediction: GaussianPrediction,
  trajectory: Trajectory,
) => Float32Array;

/**
 * The sampler begins with pure noise, as if that were a state of the last kept step. The reference takes any step; where data
 * outweighs the noise there, as at step 0 which a single step keeps, the model has next to nothing to remove and noise comes back.
 *
 * @throws ConfigError where it does
 */
function checkStart({ alphasCumprod, timestepMap }: GaussianSchedule, steps: number | string): void {
  if ((alphasCumprod.at(-1) as number) < 0.5) return;
  throw new ConfigError(
    `steps ${steps}: sampling begins at step ${timestepMap.at(-1)} of 1000, where there is more data than noise, and would give the noise back`,
    { hint: "Take 2 steps or more." },
  );
}

/** The loop of both samplers: from the last kept step down to 0. */
function gaussianSampler(options: DdpmOptions, next: NextState): Sampler {
  const { steps = 250, betaSchedule = "linear", predict = "noise", variance = "learned", clip = false } = options;
  const schedule = gaussianSchedule({ betaSchedule, respacing: String(steps) });
  checkStart(schedule, steps);
  const rule: GaussianModelRule = { schedule, predict, variance, clip };
  return async (model, noise, run) => {
    const trajectory = startTrajectory(model, noise, run, schedule.steps);
    const sampleSize = sizeOf(noise.shape.slice(1));
    let x = trajectory.start;
    for (let i = schedule.steps - 1; i >= 0; i--) {
      const time = schedule.timestepMap[i] as number;
      const output = await trajectory.evaluate(x, time);
      x = next(rule, i, x, gaussianPrediction(rule, i, x, output, sampleSize), trajectory);
      await trajectory.report(x, time);
    }
    return trajectory.finish(x);
  };
}

/** Noise is drawn at every step, also at the last one, which doesn't use it. */
export function ddpm(options: DdpmOptions = {}): Sampler {
  return gaussianSampler(options, (_, i, __, { mean, logVariance }, trajectory) => {
    const noise = trajectory.draw();
    if (i === 0) return mean;
    return mean.map((value, k) => value + Math.exp(0.5 * (logVariance[k] as number)) * (noise[k] as number));
  });
}

/** Draws noise at every step where eta isn't 0. */
export function ddim(options: DdimOptions = {}): Sampler {
  const { eta = 0, ...rest } = options;
  return gaussianSampler(rest, ({ schedule }, i, x, { start }, trajectory) => {
    const at = (table: Float64Array) => table[i] as number;
    const [ac, previous] = [at(schedule.alphasCumprod), at(schedule.alphasCumprodPrev)];
    const sigma = eta * Math.sqrt((1 - previous) / (1 - ac)) * Math.sqrt(1 - ac / previous);
    const [recip, recipm1] = [at(schedule.sqrtRecipAlphasCumprod), at(schedule.sqrtRecipm1AlphasCumprod)];
    // The noise that leads from x to the (possibly clipped) prediction of x_0.
    const epsilon = combine([recip / recipm1, x], [-1 / recipm1, start]);
    const mean = [
      [Math.sqrt(previous), start],
      [Math.sqrt(1 - previous - sigma ** 2), epsilon],
    ] as const;
    if (eta === 0) return combine(...mean);
    return combine(...mean, [i === 0 ? 0 : sigma, trajectory.draw()]);
  });
}
