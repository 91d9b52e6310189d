/**
 * The configurable sampler of the newer official code (diffusion.md 9.5): any continuous schedule, any prediction, with
 * multistep solvers or as a stochastic equation. Time runs from 1 (noise) to 0 (data).
 */
import { ConfigError } from "@dcae/core";
import { modelTime, type TimeInput, type UniPrediction } from "../objectives/regression.js";
import { type NoiseSchedule, type NoiseScheduleName, noiseSchedule } from "../schedules/noise-schedule.js";
import { type TimeSpacing, timeGrid } from "./dpm-solver.js";
import { type SolverPoint, solveMultistep } from "./multistep.js";
import { combine, type Sampler, startTrajectory } from "./sampler.js";

export interface UniModelOptions {
  readonly schedule?: NoiseScheduleName;
  /** What the model predicts (default velocity). */
  readonly prediction?: UniPrediction;
  readonly timeInput?: TimeInput;
  /** The model was trained on 1 - t, with the velocity negated. */
  readonly reverseTime?: boolean;
  readonly steps?: number;
  readonly spacing?: TimeSpacing;
  /** Default 0.999: with the linear flow nothing of the data is left at 1, and its logarithm is infinite. */
  readonly startTime?: number;
  readonly endTime?: number;
}

export interface UniSamplerOptions extends UniModelOptions {
  readonly solver?: "dpm" | "unipc";
  readonly order?: 1 | 2 | 3;
  /** What the solver integrates (default data). */
  readonly solverPrediction?: "data" | "noise";
}

export interface UniSdeOptions extends UniModelOptions {
  readonly method?: "Euler" | "Heun";
  /** Form of w(t) (default "increasing-decreasing": no noise at either end). */
  readonly diffusion?: "constant" | "sigma" | "linear" | "decreasing" | "increasing-decreasing";
  readonly norm?: number;
}

/** The noise in a state, from the model's output there. */
function noiseFromOutput(
  schedule: NoiseSchedule,
  { prediction = "velocity", reverseTime = false }: UniModelOptions,
): (x: Float32Array, output: Float32Array, t: number) => Float32Array {
  const sign = reverseTime ? -1 : 1;
  return (x, output, t) => {
    const [alpha, sigma] = [schedule.alpha(t), schedule.sigma(t)];
    if (prediction === "noise") return combine([sign, output]);
    if (prediction === "score") return combine([-sign * sigma, output]);
    if (prediction === "data") return combine([1 / sigma, x], [(-sign * alpha) / sigma, output]);
    const [dAlpha, dSigma] = [schedule.dAlpha(t), schedule.dSigma(t)];
    const scale = dAlpha * sigma - alpha * dSigma;
    return combine([dAlpha / scale, x], [(-sign * alpha) / scale, output]);
  };
}

/** Feeds the time as it is, without the rounding of training. */
function samplingTime(t: number, { timeInput = "continuous", reverseTime = false }: UniModelOptions): number {
  const directed = reverseTime ? 1 - t : t;
  if (timeInput === "continuous") return modelTime(t, timeInput, reverseTime);
  return 1000 * directed - (timeInput === "discrete_999" ? 1 : 0);
}

function grid(options: UniModelOptions, schedule: NoiseSchedule): Float32Array {
  const { steps = 30, spacing = "time_uniform", startTime = 0.999, endTime = 1e-3 } = options;
  if (!(Number.isInteger(steps) && steps >= 1)) throw new ConfigError(`steps must be a positive integer, got ${steps}`);
  if (schedule.alpha(startTime) < 1e-4) {
    throw new ConfigError(`startTime ${startTime}: nothing of the data is left there, which no solver can start from`);
  }
  return timeGrid(spacing, steps, startTime, endTime, schedule);
}

/** Multistep solvers; orders rise at the start and fall at the end. */
export function uniSampler(options: UniSamplerOptions = {}): Sampler {
  const { solver = "dpm", order = 1, solverPrediction: predict = "data" } = options;
  const schedule = noiseSchedule(options.schedule ?? "linear_flow");
  const times = grid(options, schedule);
  const noiseOf = noiseFromOutput(schedule, options);
  const points = Array.from(times, (t) => ({
    t,
    alpha: schedule.alpha(t),
    sigma: schedule.sigma(t),
    modelTime: samplingTime(t, options),
  }));
  const steps = times.length - 1;
  const orders = Array.from({ length: steps }, (_, k) => Math.min(order, steps - k));
  const interpret = (x: Float32Array, output: Float32Array, point: SolverPoint) => {
    const noise = noiseOf(x, output, (point as (typeof points)[number]).t);
    return predict === "noise" ? noise : combine([1 / point.alpha, x], [-point.sigma / point.alpha, noise]);
  };
  return async (model, noise, run) => {
    const trajectory = startTrajectory(model, noise, run, steps);
    return trajectory.finish(await solveMultistep({ solver, predict, orders, interpret }, points, trajectory));
  };
}

/** The stochastic equation; the last step adds no noise. */
export function uniSde(options: UniSdeOptions = {}): Sampler {
  const { method = "Euler", diffusion = "increasing-decreasing", norm = 1 } = options;
  const schedule = noiseSchedule(options.schedule ?? "linear_flow");
  const times = grid(options, schedule);
  const noiseOf = noiseFromOutput(schedule, options);
  const w = {
    constant: () => norm,
    sigma: (t: number) => norm * schedule.sigma(t),
    linear: (t: number) => norm * t,
    decreasing: (t: number) => 0.25 * (norm * Math.cos(Math.PI * (1 - t)) + 1) ** 2,
    "increasing-decreasing": (t: number) => norm * Math.sin(Math.PI * (1 - t)) ** 2,
  }[diffusion];
  const steps = times.length - 1;
  return async (model, noise, run) => {
    const trajectory = startTrajectory(model, noise, run, steps);
    /** velocity - w score / 2, where the score is -noise / sigma. */
    const drift = async (x: Float32Array, t: number) => {
      const [alpha, sigma] = [schedule.alpha(t), schedule.sigma(t)];
      const epsilon = noiseOf(x, await trajectory.evaluate(x, samplingTime(t, options)), t);
      const growth = schedule.dAlpha(t) / alpha;
      return combine([growth, x], [schedule.dSigma(t) - growth * sigma + w(t) / (2 * sigma), epsilon]);
    };
    let x = trajectory.start;
    for (let k = 0; k < steps; k++) {
      const [s, t] = [times[k] as number, times[k + 1] as number];
      const dt = t - s;
      const slope = await drift(x, s);
      if (k === steps - 1) x = combine([1, x], [dt, slope]);
      else {
        const z = trajectory.draw();
        const root = Math.sqrt(-dt);
        const moved = combine([1, x], [dt, slope], [root * Math.sqrt(w(s)), z]);
        if (method === "Euler") x = moved;
        else {
          const kick = (root * (Math.sqrt(w(s)) + Math.sqrt(w(t)))) / 2;
          x = combine([1, x], [dt / 2, slope], [dt / 2, await drift(moved, t)], [kick, z]);
        }
      }
      await trajectory.report(x, samplingTime(t, options));
    }
    return trajectory.finish(x);
  };
}
