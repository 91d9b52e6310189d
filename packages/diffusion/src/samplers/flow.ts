/**
 * A flow model as an equation of motion (SiT, Ma et al., 2024; diffusion.md 8.3, 9.3 and 9.4), and its solvers on a fixed grid of
 * times. t = 0 is noise, t = 1 data. The adaptive solver is dopri5.ts.
 */

import { ConfigError } from "@dcae/core";
import type { FlowPrediction } from "../objectives/regression.js";
import { type InterpolantName, interpolant } from "../schedules/flow-schedule.js";
import { linspace32 } from "../schedules/rounding.js";
import { combine, type Sampler, startTrajectory } from "./sampler.js";

export interface FlowOptions {
  readonly path?: InterpolantName;
  /** What the model predicts (default velocity, as USiT and SiT). */
  readonly prediction?: FlowPrediction;
  /** Distance kept from t = 0 and 1 (default 0 for velocity, 1e-3 otherwise). */
  readonly epsilon?: number;
}

export interface Flow {
  /** Where integration starts and ends. */
  readonly range: readonly [start: number, end: number];
  /** dx/dt of the probability flow at x, from the model's output there. */
  velocity(x: Float32Array, t: number, output: Float32Array): Float32Array;
  /** Gradient of the log density. */
  score(x: Float32Array, t: number, output: Float32Array): Float32Array;
}

export function flow(options: FlowOptions = {}): Flow {
  const { path = "Linear", prediction = "velocity" } = options;
  const epsilon = options.epsilon ?? (prediction === "velocity" ? 0 : 1e-3);
  const { alpha, dAlpha, sigma, dSigma, dLogAlpha, driftVariance } = interpolant(path);
  const score: Flow["score"] = (x, t, output) => {
    if (prediction === "score") return output;
    if (prediction === "noise") return combine([-1 / sigma(t), output]);
    const ratio = alpha(t) / dAlpha(t);
    const variance = sigma(t) ** 2 - ratio * dSigma(t) * sigma(t);
    return combine([ratio / variance, output], [-1 / variance, x]);
  };
  return {
    range: [epsilon, 1 - epsilon],
    score,
    velocity(x, t, output) {
      if (prediction === "velocity") return output;
      return combine([dLogAlpha(t), x], [driftVariance(t), score(x, t, output)]);
    },
  };
}

// Solvers of the flow equation on a fixed time grid (diffusion.md 9.3): Euler, Heun, midpoint, and the 3/8 rule of order 4.
//
// `points` counts the times of the grid, both ends included: there is one interval less, as the reference counts.

export interface FixedStepOptions extends FlowOptions {
  /** Times of the grid, at least 2 (default 50). */
  readonly points?: number;
}

type Derivative = (x: Float32Array, t: number) => Promise<Float32Array>;
/** State at t + dt. */
type Rule = (f: Derivative, x: Float32Array, t: number, dt: number) => Promise<Float32Array>;

function fixedStepSampler(rule: Rule, { points = 50, ...options }: FixedStepOptions): Sampler {
  if (!(Number.isInteger(points) && points >= 2)) throw new ConfigError(`points must be at least 2, got ${points}`);
  const { range, velocity } = flow(options);
  const times = linspace32(range[0], range[1], points);
  return async (model, noise, run) => {
    const trajectory = startTrajectory(model, noise, run, points - 1);
    const f: Derivative = async (x, t) => velocity(x, t, await trajectory.evaluate(x, t));
    let x = trajectory.start;
    for (let k = 0; k + 1 < points; k++) {
      const [t, next] = [times[k] as number, times[k + 1] as number];
      x = await rule(f, x, t, next - t);
      await trajectory.report(x, next);
    }
    return trajectory.finish(x);
  };
}

/** x + dt f(x, t). One evaluation per interval. */
export function euler(options: FixedStepOptions = {}): Sampler {
  return fixedStepSampler(async (f, x, t, dt) => combine([1, x], [dt, await f(x, t)]), options);
}

/** The mean of the slopes at both ends. Two evaluations. */
export function heun(options: FixedStepOptions = {}): Sampler {
  return fixedStepSampler(async (f, x, t, dt) => {
    const k1 = await f(x, t);
    const k2 = await f(combine([1, x], [dt, k1]), t + dt);
    return combine([1, x], [dt / 2, k1], [dt / 2, k2]);
  }, options);
}

/** The slope in the middle. Two evaluations. */
export function midpoint(options: FixedStepOptions = {}): Sampler {
  return fixedStepSampler(async (f, x, t, dt) => {
    const k1 = await f(x, t);
    return combine([1, x], [dt, await f(combine([1, x], [dt / 2, k1]), t + dt / 2)]);
  }, options);
}

/** Kutta's 3/8 rule, order 4. Four evaluations. */
export function rk4(options: FixedStepOptions = {}): Sampler {
  return fixedStepSampler(async (f, x, t, dt) => {
    const k1 = await f(x, t);
    const k2 = await f(combine([1, x], [dt / 3, k1]), t + dt / 3);
    const k3 = await f(combine([1, x], [-dt / 3, k1], [dt, k2]), t + (2 * dt) / 3);
    const k4 = await f(combine([1, x], [dt, k1], [-dt, k2], [dt, k3]), t + dt);
    return combine([1, x], [dt / 8, k1], [(3 * dt) / 8, k2], [(3 * dt) / 8, k3], [dt / 8, k4]);
  }, options);
}

// Sampling a flow model with noise (SiT, Ma et al., 2024; diffusion.md 9.4): dx = (v + w score) dt + sqrt(2 w) dW, for any
// diffusion w(t) >= 0. The last stretch is taken without noise.

/** Forms of w(t); the reference spells the last one "inccreasing-decreasing". */
export const DIFFUSION_FORMS = ["constant", "SBDM", "sigma", "linear", "decreasing", "increasing-decreasing"] as const;
export type DiffusionForm = (typeof DIFFUSION_FORMS)[number];

export interface SdeOptions extends FlowOptions {
  /** Times of the grid before the last step, at least 2 (default 250). */
  readonly points?: number;
  readonly method?: "Euler" | "Heun";
  readonly diffusion?: DiffusionForm;
  /** Factor of the diffusion (default 1). */
  readonly norm?: number;
  /** How the last stretch is taken: with the drift, the velocity, by the mean of the data, or not at all. */
  readonly lastStep?: "Mean" | "Euler" | "Tweedie" | "none";
  /** Its length (default 0.04). */
  readonly lastStepSize?: number;
}

/** w(t) of a form. */
export function diffusionCoefficient(
  form: DiffusionForm,
  norm: number,
  path: FlowOptions["path"] = "Linear",
): (t: number) => number {
  const { sigma, driftVariance } = interpolant(path);
  const forms: Readonly<Record<DiffusionForm, (t: number) => number>> = {
    constant: () => norm,
    SBDM: (t) => norm * driftVariance(t),
    sigma: (t) => norm * sigma(t),
    linear: (t) => norm * (1 - t),
    decreasing: (t) => 0.25 * (norm * Math.cos(Math.PI * t) + 1) ** 2,
    "increasing-decreasing": (t) => norm * Math.sin(Math.PI * t) ** 2,
  };
  return forms[form];
}

/**
 * The stochastic samplers of SiT, for flow models.
 *
 * @throws ConfigError for choices that contradict each other
 */
export function sde(options: SdeOptions = {}): Sampler {
  const { points = 250, method = "Euler", diffusion = "sigma", norm = 1, lastStep = "Mean", ...flowOptions } = options;
  const { path = "Linear" } = flowOptions;
  if (!(Number.isInteger(points) && points >= 2)) throw new ConfigError(`points must be at least 2, got ${points}`);
  if (diffusion === "SBDM" && (options.prediction ?? "velocity") === "velocity") {
    throw new ConfigError("sde: the SBDM diffusion is infinite at t = 0, where a velocity model starts");
  }
  const lastStepSize = lastStep === "none" ? 0 : (options.lastStepSize ?? 0.04);
  const { range, velocity, score } = flow(flowOptions);
  const { alpha, sigma } = interpolant(path);
  const w = diffusionCoefficient(diffusion, norm, path);
  const end = lastStepSize === 0 ? range[1] : 1 - lastStepSize;
  const times = linspace32(range[0], end, points);
  const dt = (times[1] as number) - (times[0] as number);

  return async (model, noise, run) => {
    const trajectory = startTrajectory(model, noise, run, points - 1 + (lastStep === "none" ? 0 : 1));
    const parts = async (x: Float32Array, t: number) => {
      const output = await trajectory.evaluate(x, t);
      return { v: velocity(x, t, output), s: score(x, t, output) };
    };
    const drift = async (x: Float32Array, t: number) => {
      const { v, s } = await parts(x, t);
      return combine([1, v], [w(t), s]);
    };
    let x = trajectory.start;
    for (let k = 0; k + 1 < points; k++) {
      const t = times[k] as number;
      const kicked = Math.sqrt(2 * w(t) * dt);
      if (method === "Euler") {
        const slope = await drift(x, t);
        x = combine([1, x], [dt, slope], [kicked, trajectory.draw()]);
      } else {
        // The noise comes first here: both slopes are taken behind it.
        const moved = combine([1, x], [kicked, trajectory.draw()]);
        const k1 = await drift(moved, t);
        const k2 = await drift(combine([1, moved], [dt, k1]), t + dt);
        x = combine([1, moved], [dt / 2, k1], [dt / 2, k2]);
      }
      await trajectory.report(x, times[k + 1] as number);
    }
    if (lastStep === "none") return trajectory.finish(x);
    const { v, s } = await parts(x, end);
    if (lastStep === "Mean") x = combine([1, x], [lastStepSize, v], [lastStepSize * w(end), s]);
    else if (lastStep === "Euler") x = combine([1, x], [lastStepSize, v]);
    else x = combine([1 / alpha(end), x], [sigma(end) ** 2 / alpha(end), s]);
    await trajectory.report(x, 1);
    return trajectory.finish(x);
  };
}
