/** The times at which solvers of the DPM-Solver family stop (diffusion.md 9.1). */
import { linspace32 } from "../schedules/linspace.js";
import type { NoiseSchedule } from "../schedules/noise-schedule.js";

/** Uniform in time, in the log of the signal-to-noise ratio, or in the square root of time (two official names for one rule). */
export type TimeSpacing = "time_uniform" | "logSNR" | "t2" | "time_quadratic";

/** steps + 1 times from `start` down to `end`. */
export function timeGrid(
  spacing: TimeSpacing,
  steps: number,
  start: number,
  end: number,
  schedule: NoiseSchedule,
): Float32Array {
  if (spacing === "time_uniform") return linspace32(start, end, steps + 1);
  if (spacing === "logSNR") {
    return linspace32(schedule.lambda(start), schedule.lambda(end), steps + 1).map(schedule.time);
  }
  return linspace32(Math.sqrt(start), Math.sqrt(end), steps + 1).map((root) => root * root);
}

/** Orders of the "fast" single-step solver, which spends exactly `steps` model evaluations. */
export function fastOrders(steps: number, order: 1 | 2 | 3): number[] {
  if (order === 1) return Array.from({ length: steps }, () => 1);
  if (order === 2) return [...Array.from({ length: Math.floor(steps / 2) }, () => 2), ...(steps % 2 === 1 ? [1] : [])];
  const full = Math.floor(steps / 3) + 1;
  const threes = (count: number) => Array.from({ length: Math.max(count, 0) }, () => 3);
  if (steps % 3 === 0) return [...threes(full - 2), 2, 1];
  return [...threes(full - 1), steps % 3];
}
