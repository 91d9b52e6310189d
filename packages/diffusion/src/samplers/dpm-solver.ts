/**
 * DPM-Solver++ as UViT is sampled (Lu et al., 2022; diffusion.md 9.1): single steps of order 3 on a uniform time grid, exactly
 * `steps` model evaluations, and the state at t = 0.001 as the result.
 */

import { ConfigError } from "@dcae/core";
import { type NoiseSchedule, noiseSchedule } from "../schedules/noise-schedule.js";
import { linspace32 } from "../schedules/rounding.js";
import {
  defaultPositions,
  dpmAdaptive,
  dpmSingleStep,
  type InnerPositions,
  type Prediction,
  type SingleStepRule,
} from "./dpm-single-step.js";
import { combine, type Sampler, startTrajectory } from "./sampler.js";
import { checkStepControl, MAX_ATTEMPTS } from "./step-control.js";

// The times at which solvers of the DPM-Solver family stop (diffusion.md 9.1).

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

export interface DpmSolverOptions {
  /** Model evaluations (default 30); without effect on the adaptive method. */
  readonly steps?: number;
  readonly order?: 1 | 2 | 3;
  /** "fast" mixes orders to spend every evaluation; "singlestep" repeats one order; "adaptive" chooses the step sizes. */
  readonly method?: "fast" | "singlestep" | "adaptive";
  readonly spacing?: TimeSpacing;
  /** "data" is DPM-Solver++, "noise" the first DPM-Solver. */
  readonly predict?: "data" | "noise";
  readonly solverType?: "dpm_solver" | "taylor";
  /** One more evaluation that gives the data at the end time. */
  readonly denoise?: boolean;
  readonly schedule?: NoiseSchedule;
  readonly startTime?: number;
  readonly endTime?: number;
  /** The model is fed t times this (default 1000). */
  readonly timeScale?: number;
  /** Tolerances of the adaptive method. */
  readonly absoluteTolerance?: number;
  readonly relativeTolerance?: number;
  /** Steps that the adaptive method may try, taken or not (default 10,000); then it gives up. */
  readonly maxAttempts?: number;
}

type Settings = Required<Omit<DpmSolverOptions, "schedule">> & { readonly rule: SingleStepRule };

/** A sampler for models that predict noise. */
export function dpmSolver(options: DpmSolverOptions = {}): Sampler {
  const { schedule = noiseSchedule("vp_dpmsolver"), ...rest } = options;
  const settings = {
    steps: 30,
    order: 3,
    method: "fast",
    spacing: "time_uniform",
    predict: "data",
    solverType: "dpm_solver",
    denoise: false,
    startTime: 1,
    endTime: 0.001,
    timeScale: 1000,
    absoluteTolerance: 0.0078,
    relativeTolerance: 0.05,
    maxAttempts: MAX_ATTEMPTS,
    ...rest,
  } as const;
  const rule = { schedule, predict: settings.predict, solverType: settings.solverType };
  checkSettings(settings);
  return (model, noise, run) => sample({ ...settings, rule }, model, noise, run);
}

function checkSettings(settings: Omit<Settings, "rule">): void {
  const { steps, order, method } = settings;
  checkStepControl("dpmSolver", settings);
  if (method !== "adaptive" && !(Number.isInteger(steps) && steps >= order)) {
    throw new ConfigError(`dpmSolver: steps must be an integer of at least ${order} (the order), got ${steps}`);
  }
  if (method === "adaptive" && order === 1) throw new ConfigError("dpmSolver: the adaptive method has order 2 or 3");
}

async function sample(settings: Settings, ...[model, noise, run]: Parameters<Sampler>): ReturnType<Sampler> {
  const { rule, method, endTime, timeScale } = settings;
  const { alpha, sigma } = rule.schedule;
  const walk = method === "adaptive" ? undefined : plannedSteps(settings);
  const trajectory = startTrajectory(model, noise, run, walk?.length);
  const epsilon: Prediction = (x, t) => trajectory.evaluate(x, Math.fround(t) * timeScale);
  const data: Prediction = async (x, t) => combine([1 / alpha(t), x], [-sigma(t) / alpha(t), await epsilon(x, t)]);
  const prediction = rule.predict === "data" ? data : epsilon;
  let x = trajectory.start;
  if (walk === undefined) {
    x = await dpmAdaptive({ ...settings, batch: noise.shape[0] ?? 1 }, prediction, trajectory);
  } else {
    for (const { order, from, to, inner } of walk) {
      x = await dpmSingleStep(rule, prediction, order, x, from, to, inner);
      await trajectory.report(x, to * timeScale);
    }
  }
  return trajectory.finish(settings.denoise ? await data(x, endTime) : x);
}

interface PlannedStep {
  readonly order: number;
  readonly from: number;
  readonly to: number;
  readonly inner: InnerPositions;
}

/** The steps of the methods that know them in advance. */
export function plannedSteps(
  settings: Pick<Settings, "steps" | "order" | "method" | "spacing" | "startTime" | "endTime"> & {
    readonly rule: Pick<SingleStepRule, "schedule">;
  },
): PlannedStep[] {
  const { steps, order, method, spacing, startTime, endTime } = settings;
  const { schedule } = settings.rule;
  const orders = method === "fast" ? fastOrders(steps, order) : Array(Math.floor(steps / order)).fill(order);
  const stride = method === "fast" ? 1 : order;
  const times = timeGrid(spacing, method === "fast" ? steps : orders.length, startTime, endTime, schedule);
  let i = 0;
  return orders.map((current: number) => {
    const [from, to] = [times[i], times[i + current / stride]] as [number, number];
    const start = schedule.lambda(from);
    const h = schedule.lambda(to) - start;
    const share = (ahead: number) => (schedule.lambda(times[i + ahead] as number) - start) / h;
    const inner =
      method === "fast" ? { r1: current > 1 ? share(1) : 0, r2: current > 2 ? share(2) : 0 } : defaultPositions(order);
    i += current / stride;
    return { order: current, from, to, inner };
  });
}
