/**
 * SANA's flow objective (official "SanaScheduler"; diffusion.md 8.4): a shifted schedule, times from a logit-normal
 * distribution, the velocity from data to noise as target, and an integer model time.
 */
import { sanaSchedule } from "../schedules/sana-schedule.js";
import type { Objective } from "./objective.js";
import { regressionObjective } from "./regression.js";

/** Index of the schedule that a standard normal draw selects. */
export function logitNormalIndex(normal: number, steps: number): number {
  return Math.min(Math.floor(steps / (1 + Math.exp(-normal))), steps - 1);
}

/** Times are indices into the schedule. */
export function sanaFlow(shift = 3): Objective {
  const { sigmas, modelTimes } = sanaSchedule(shift);
  return regressionObjective({
    name: "SANA flow",
    sampleTimes: (random, batch) =>
      Float64Array.from({ length: batch }, () => logitNormalIndex(random.nextNormal(), sigmas.length)),
    at: (index) => ({
      time: modelTimes[index] as number,
      signal: 1 - (sigmas[index] as number),
      noiseScale: sigmas[index] as number,
      targetSignal: -1,
      targetNoise: 1,
    }),
  });
}
