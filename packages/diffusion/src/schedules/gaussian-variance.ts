/** Fixed variances of the reverse steps of Gaussian diffusion (Ho et al., 2020), for models that don't learn them. */
import type { GaussianSchedule } from "./gaussian-schedule.js";

/** Log variance of each step: that of the posterior ("small"), or beta ("large", where step 0 takes the posterior's of step 1). */
export function fixedLogVariance(schedule: GaussianSchedule, kind: "fixed-large" | "fixed-small"): Float64Array {
  if (kind === "fixed-small") return schedule.posteriorLogVariance;
  return schedule.betas.map((beta, i) => Math.log(i === 0 ? (schedule.posteriorVariance[1] ?? beta) : beta));
}
