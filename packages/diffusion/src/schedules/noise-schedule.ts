/**
 * Continuous noise schedules as the samplers of the DPM-Solver family use them: x_t = alpha(t) data + sigma(t) noise with t
 * from 0 (data) to 1 (noise) (Lu et al., 2022; diffusion.md 8.5 and 9.1).
 *
 * lambda = log(alpha / sigma) is half the logarithm of the signal-to-noise ratio; solvers step in lambda.
 */
import { gaussianBetas, stableDiffusionBetas } from "./gaussian-schedule.js";
import { linspace32 } from "./rounding.js";

export interface NoiseSchedule {
  logAlpha(t: number): number;
  alpha(t: number): number;
  sigma(t: number): number;
  lambda(t: number): number;
  /** The time of a lambda. */
  time(lambda: number): number;
  /** d alpha / dt. */
  dAlpha(t: number): number;
  /** d sigma / dt. */
  dSigma(t: number): number;
}

/** log(1 + exp(x)) without overflow. */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/** A schedule with alpha^2 + sigma^2 = 1, from its log alpha, the inverse of that, and its slope. */
function variancePreserving(
  logAlpha: (t: number) => number,
  timeOf: (logAlpha: number) => number,
  slope: (t: number) => number,
): NoiseSchedule {
  const alpha = (t: number) => Math.exp(logAlpha(t));
  const sigma = (t: number) => Math.sqrt(-Math.expm1(2 * logAlpha(t)));
  const dAlpha = (t: number) => alpha(t) * slope(t);
  return {
    logAlpha,
    alpha,
    sigma,
    lambda: (t) => logAlpha(t) - Math.log(sigma(t)),
    time: (lambda) => timeOf(-0.5 * softplus(-2 * lambda)),
    dAlpha,
    dSigma: (t) => (-alpha(t) * dAlpha(t)) / Math.max(sigma(t), 1e-8),
  };
}

/** Index of the segment of ascending `knots` that holds x; the outermost ones extend beyond the ends. */
function segmentOf(knots: ArrayLike<number>, x: number): number {
  let [low, high] = [0, knots.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((knots[middle] as number) <= x) low = middle;
    else high = middle;
  }
  return low;
}

/** Piecewise linear through (xs, ys), extended; xs ascending. */
function interpolate(xs: ArrayLike<number>, ys: ArrayLike<number>, x: number): number {
  const i = segmentOf(xs, x);
  const [x0, x1, y0, y1] = [xs[i], xs[i + 1], ys[i], ys[i + 1]] as [number, number, number, number];
  return y0 + ((x - x0) * (y1 - y0)) / (x1 - x0);
}

/**
 * The schedule of N discrete steps: log alpha is piecewise linear through t = i/N, i = 1..N.
 *
 * The table is rounded to float32 where the reference keeps it so; interpolation is in double.
 */
function discreteNoiseSchedule(betas: Float64Array): NoiseSchedule {
  const steps = betas.length;
  let sum = 0;
  const table = Float32Array.from(betas, (beta) => {
    sum += Math.fround(Math.log(Math.fround(1 - Math.fround(beta))));
    return 0.5 * Math.fround(sum);
  });
  const times = linspace32(1 / steps, 1, steps);
  // Ascending in log alpha for the inverse.
  const [descending, reversed] = [table.slice().reverse(), times.slice().reverse()];
  return variancePreserving(
    (t) => interpolate(times, table, t),
    (logAlpha) => interpolate(descending, reversed, logAlpha),
    (t) => {
      const i = segmentOf(times, t);
      const rise = (table[i + 1] as number) - (table[i] as number);
      return rise / ((times[i + 1] as number) - (times[i] as number));
    },
  );
}

/** Betas of the continuous linear schedule at t = 0 and 1. */
const [BETA_0, BETA_1] = [0.1, 20];

function linearContinuous(): NoiseSchedule {
  const range = BETA_1 - BETA_0;
  return variancePreserving(
    (t) => -0.25 * t * t * range - 0.5 * t * BETA_0,
    (logAlpha) => {
      const scaled = -4 * range * logAlpha;
      return scaled / ((Math.sqrt(BETA_0 ** 2 + scaled) + BETA_0) * range);
    },
    (t) => -0.5 * (BETA_0 + t * range),
  );
}

const linearFlow: NoiseSchedule = {
  logAlpha: (t) => Math.log1p(-t),
  alpha: (t) => 1 - t,
  sigma: (t) => t,
  lambda: (t) => Math.log1p(-t) - Math.log(t),
  time: (lambda) => 1 / (1 + Math.exp(lambda)),
  dAlpha: () => -1,
  dSigma: () => 1,
};

const cosine: NoiseSchedule = {
  logAlpha: (t) => Math.log(Math.cos((Math.PI / 2) * t)),
  alpha: (t) => Math.cos((Math.PI / 2) * t),
  sigma: (t) => Math.sin((Math.PI / 2) * t),
  lambda: (t) => -Math.log(Math.tan((Math.PI / 2) * t)),
  time: (lambda) => (2 / Math.PI) * Math.atan(Math.exp(-lambda)),
  dAlpha: (t) => (-Math.PI / 2) * Math.sin((Math.PI / 2) * t),
  dSigma: (t) => (Math.PI / 2) * Math.cos((Math.PI / 2) * t),
};

/** Schedules by their official names. */
export const NOISE_SCHEDULES = [
  "linear_flow",
  "cosine",
  "vp_dpmsolver",
  "vp_gaussian",
  "vp_linear_continuous",
] as const;
export type NoiseScheduleName = (typeof NOISE_SCHEDULES)[number];

/** The schedule of that name: `vp_dpmsolver` is UViT's, `vp_gaussian` DiT's, `linear_flow` that of flows (t = 1 is noise). */
export function noiseSchedule(name: NoiseScheduleName): NoiseSchedule {
  switch (name) {
    case "linear_flow":
      return linearFlow;
    case "cosine":
      return cosine;
    case "vp_dpmsolver":
      return discreteNoiseSchedule(stableDiffusionBetas());
    case "vp_gaussian":
      return discreteNoiseSchedule(gaussianBetas("linear", 1000));
    case "vp_linear_continuous":
      return linearContinuous();
  }
}
