/**
 * What flows are trained along: interpolants between noise (t = 0) and data (t = 1), x_t = alpha(t) data + sigma(t) noise (SiT, Ma et
 * al., 2024; diffusion.md 8.3 and 9.4; time runs the other way than in noise-schedule.ts), and SANA's shifted schedule (8.4).
 */
import { linspace } from "./rounding.js";

export const INTERPOLANTS = ["Linear", "GVP", "VP"] as const;
export type InterpolantName = (typeof INTERPOLANTS)[number];

export interface Interpolant {
  alpha(t: number): number;
  dAlpha(t: number): number;
  sigma(t: number): number;
  dSigma(t: number): number;
  /** alpha' / alpha: the drift is this times x. */
  dLogAlpha(t: number): number;
  /** (alpha' / alpha) sigma^2 - sigma sigma': how the score enters the velocity. */
  driftVariance(t: number): number;
}

const HALF_PI = Math.PI / 2;

function interpolantOf(parts: Omit<Interpolant, "driftVariance" | "dLogAlpha"> & Partial<Interpolant>): Interpolant {
  const dLogAlpha = parts.dLogAlpha ?? ((t: number) => parts.dAlpha(t) / parts.alpha(t));
  return {
    ...parts,
    dLogAlpha,
    driftVariance:
      parts.driftVariance ?? ((t) => dLogAlpha(t) * parts.sigma(t) ** 2 - parts.sigma(t) * parts.dSigma(t)),
  };
}

const linear = interpolantOf({ alpha: (t) => t, dAlpha: () => 1, sigma: (t) => 1 - t, dSigma: () => -1 });

const gvp = interpolantOf({
  alpha: (t) => Math.sin(HALF_PI * t),
  dAlpha: (t) => HALF_PI * Math.cos(HALF_PI * t),
  sigma: (t) => Math.cos(HALF_PI * t),
  dSigma: (t) => -HALF_PI * Math.sin(HALF_PI * t),
});

/** Variance preserving, with betas from 0.1 to 20 against the time of this file. */
const [SIGMA_MIN, SIGMA_MAX] = [0.1, 20];
const vpLogAlpha = (t: number) => -0.25 * (1 - t) ** 2 * (SIGMA_MAX - SIGMA_MIN) - 0.5 * (1 - t) * SIGMA_MIN;
const vpSlope = (t: number) => 0.5 * (1 - t) * (SIGMA_MAX - SIGMA_MIN) + 0.5 * SIGMA_MIN;
const vpAlpha = (t: number) => Math.exp(vpLogAlpha(t));
const vpSigma = (t: number) => Math.sqrt(-Math.expm1(2 * vpLogAlpha(t)));

const vp = interpolantOf({
  alpha: vpAlpha,
  dAlpha: (t) => vpAlpha(t) * vpSlope(t),
  sigma: vpSigma,
  dSigma: (t) => (-(vpAlpha(t) ** 2) * vpSlope(t)) / vpSigma(t),
  dLogAlpha: vpSlope,
  driftVariance: (t) => 0.5 * (SIGMA_MIN + (SIGMA_MAX - SIGMA_MIN) * (1 - t)),
});

export function interpolant(name: InterpolantName): Interpolant {
  return { Linear: linear, GVP: gvp, VP: vp }[name];
}

// The shifted flow schedule of SANA (diffusion.md 8.4), in double: x = (1 - s) data + s noise.

/** s' = shift * s / (1 + (shift - 1) s): more of the steps go to high noise. */
export function shiftSigma(sigma: number, shift: number): number {
  return (shift * sigma) / (1 + (shift - 1) * sigma);
}

export interface SanaSchedule {
  /** Ascending with the index: 0 is almost clean. */
  readonly sigmas: Float64Array;
  /** What the model is fed: the integer part of 1000 sigma. */
  readonly modelTimes: Int32Array;
}

/** The training schedule of `steps` sigmas. */
export function sanaSchedule(shift = 3, steps = 1000): SanaSchedule {
  const sigmas = linspace(1, 1 / steps, steps).map((start) => shiftSigma(1 - start, shift));
  return { sigmas, modelTimes: Int32Array.from(sigmas, (sigma) => Math.trunc(1000 * sigma)) };
}
