/**
 * Samplers on a grid of sigmas that ends at the data, as the schedulers of diffusers take it (diffusion.md 9.6): UniPC and
 * single-step DPM-Solver++ for models of Gaussian diffusion, and multistep DPM-Solver++ for SANA's flow. The model is fed
 * the integer part of the time.
 */

import { shiftSigma } from "../schedules/flow-schedule.js";
import { gaussianSchedule } from "../schedules/gaussian-schedule.js";
import { linspace, roundHalfEven } from "../schedules/rounding.js";
import { type SolverPoint, solveMultistep } from "./multistep.js";
import { combine, type Sampler, startTrajectory } from "./sampler.js";

export interface SigmaSamplerOptions {
  /** Model evaluations (default 20). */
  readonly steps?: number;
}

/** steps + 1 places of the schedule of Gaussian diffusion, evenly spaced in time; the last one is the data. */
export function gaussianSigmaGrid(steps: number): SolverPoint[] {
  const { alphasCumprod } = gaussianSchedule();
  const times = linspace(0, alphasCumprod.length - 1, steps + 1).reverse();
  return Array.from(times, (time, i) => {
    if (i === steps) return { alpha: 1, sigma: 0, modelTime: 0 };
    const modelTime = roundHalfEven(time);
    const kept = alphasCumprod[modelTime] as number;
    return { alpha: Math.sqrt(kept), sigma: Math.sqrt(1 - kept), modelTime };
  });
}

/** steps + 1 places of SANA's shifted flow; the last one is the data. */
export function flowSigmaGrid(steps: number, shift = 3): SolverPoint[] {
  const sigmas = linspace(1, 0.001, steps + 1)
    .map((start) => shiftSigma(1 - start, shift))
    .reverse();
  return Array.from(sigmas, (sigma, i) => {
    if (i === steps) return { alpha: 1, sigma: 0, modelTime: 0 };
    return { alpha: 1 - sigma, sigma, modelTime: Math.trunc(1000 * sigma) };
  });
}

const dataFromNoise = (x: Float32Array, noise: Float32Array, { alpha, sigma }: SolverPoint) =>
  combine([1 / alpha, x], [-sigma / alpha, noise]);

/** UniPC of order 3 for models that predict the noise of Gaussian diffusion. */
export function uniPc({ steps = 20 }: SigmaSamplerOptions = {}): Sampler {
  const points = gaussianSigmaGrid(steps);
  const orders = Array.from({ length: steps }, (_, k) => Math.min(3, steps - k));
  return async (model, noise, run) => {
    const trajectory = startTrajectory(model, noise, run, steps);
    const rule = { solver: "unipc", predict: "data", orders, interpret: dataFromNoise } as const;
    return trajectory.finish(await solveMultistep(rule, points, trajectory));
  };
}

/** DPM-Solver++ of order 2 in single steps for models that predict the noise of Gaussian diffusion. */
export function dpmSolverSinglestep({ steps = 20 }: SigmaSamplerOptions = {}): Sampler {
  const points = gaussianSigmaGrid(steps);
  const pairs = Math.floor(steps / 2) - (steps % 2 === 0 ? 1 : 0);
  const lambda = ({ alpha, sigma }: SolverPoint) => Math.log(alpha) - Math.log(sigma);
  return async (model, noise, run) => {
    const trajectory = startTrajectory(model, noise, run, steps);
    const data = async (x: Float32Array, point: SolverPoint) =>
      dataFromNoise(x, await trajectory.evaluate(x, point.modelTime), point);
    const move = (x: Float32Array, m: Float32Array, from: SolverPoint, to: SolverPoint) =>
      combine([to.sigma / from.sigma, x], [-to.alpha * Math.expm1(lambda(from) - lambda(to)), m]);
    let x = trajectory.start;
    for (let k = 0; k < steps; ) {
      const [from, middle] = [points[k] as SolverPoint, points[k + 1] as SolverPoint];
      const m = await data(x, from);
      const half = move(x, m, from, middle);
      await trajectory.report(half, middle.modelTime);
      if (k >= 2 * pairs) {
        x = half;
        k += 1;
        continue;
      }
      const to = points[k + 2] as SolverPoint;
      const r = (lambda(middle) - lambda(from)) / (lambda(to) - lambda(from));
      const factor = (-0.5 / r) * to.alpha * Math.expm1(lambda(from) - lambda(to));
      const m1 = await data(half, middle);
      x = combine([1, move(x, m, from, to)], [factor, m1], [-factor, m]);
      await trajectory.report(x, to.modelTime);
      k += 2;
    }
    return trajectory.finish(x);
  };
}

/** DPM-Solver++ of order 2 in multiple steps, for SANA's velocity from data to noise. */
export function sanaSampler({ steps = 20 }: SigmaSamplerOptions = {}): Sampler {
  const points = flowSigmaGrid(steps);
  const orders = Array.from({ length: steps }, (_, k) => (k === steps - 1 ? 1 : 2));
  return async (model, noise, run) => {
    const trajectory = startTrajectory(model, noise, run, steps);
    const interpret = (x: Float32Array, velocity: Float32Array, { sigma }: SolverPoint) =>
      combine([1, x], [-sigma, velocity]);
    const rule = { solver: "dpm", predict: "data", orders, interpret } as const;
    return trajectory.finish(await solveMultistep(rule, points, trajectory));
  };
}
