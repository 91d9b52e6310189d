/**
 * Sampling a flow model with noise (SiT, Ma et al., 2024; diffusion.md 9.4): dx = (v + w score) dt + sqrt(2 w) dW, for any
 * diffusion w(t) >= 0. The last stretch is taken without noise.
 */
import { ConfigError } from "@dcae/core";
import { interpolant } from "../schedules/interpolant.js";
import { linspace32 } from "../schedules/linspace.js";
import { type FlowOptions, flow } from "./flow.js";
import { combine, type Sampler, startTrajectory } from "./sampler.js";

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
