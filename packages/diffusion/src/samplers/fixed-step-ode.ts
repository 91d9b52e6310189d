/**
 * Solvers of the flow equation on a fixed time grid (diffusion.md 9.3): Euler, Heun, midpoint, and the 3/8 rule of order 4.
 *
 * `points` counts the times of the grid, both ends included: there is one interval less, as the reference counts.
 */
import { ConfigError } from "@dcae/core";
import { linspace32 } from "../schedules/linspace.js";
import { type FlowOptions, flow } from "./flow.js";
import { combine, type Sampler, startTrajectory } from "./sampler.js";

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
