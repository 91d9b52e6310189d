/**
 * What a model's output says about the previous step of Gaussian diffusion (diffusion.md 8.2): the mean and log variance of
 * p(x_{t-1} | x_t), and the prediction of x_0.
 */
import { ShapeError } from "@dcae/core";
import type { GaussianSchedule } from "../schedules/gaussian-schedule.js";
import { fixedLogVariance } from "../schedules/gaussian-variance.js";

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
