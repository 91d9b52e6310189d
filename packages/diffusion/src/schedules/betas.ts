/**
 * Variance schedules: the noise added at each of N steps, in double (diffusion.md sections 8.1 and 8.2).
 */

import { linspace } from "./linspace.js";

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
