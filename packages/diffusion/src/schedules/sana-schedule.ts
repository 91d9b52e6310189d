/**
 * The shifted flow schedule of SANA (diffusion.md 8.4), in double: x = (1 - s) data + s noise.
 */
import { linspace } from "./linspace.js";

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
