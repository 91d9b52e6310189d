/**
 * One step of DPM-Solver and DPM-Solver++ (Lu et al., 2022; diffusion.md 9.1), of order 1 to 3.
 *
 * Both integrate the same equation exactly in its linear part: in terms of the noise (DPM-Solver) or of the data (++), which
 * only changes signs. `sign` is +1 for noise and -1 for data throughout.
 */
import type { NoiseSchedule } from "../schedules/noise-schedule.js";
import { combine } from "./sampler.js";

/** The model in the form that the solver integrates: noise or data at a state and time. */
export type Prediction = (x: Float32Array, t: number) => Promise<Float32Array>;

export interface SingleStepRule {
  readonly schedule: NoiseSchedule;
  readonly predict: "noise" | "data";
  /** How derivatives are formed from differences. */
  readonly solverType: "dpm_solver" | "taylor";
}

/** Positions of the inner evaluations in lambda, as shares of the step. */
export interface InnerPositions {
  readonly r1: number;
  readonly r2: number;
}

/** Thirds for order 3, halves for order 2. */
export function defaultPositions(order: number): InnerPositions {
  return order === 3 ? { r1: 1 / 3, r2: 2 / 3 } : { r1: 1 / 2, r2: 0 };
}

/** State at t from the state x at s. */
export async function dpmSingleStep(
  rule: SingleStepRule,
  prediction: Prediction,
  order: number,
  x: Float32Array,
  s: number,
  t: number,
  { r1, r2 }: InnerPositions,
): Promise<Float32Array> {
  const { schedule, predict, solverType } = rule;
  const sign = predict === "noise" ? 1 : -1;
  const [kept, scaled] = predict === "noise" ? [schedule.alpha, schedule.sigma] : [schedule.sigma, schedule.alpha];
  const lambda = schedule.lambda(s);
  const h = schedule.lambda(t) - lambda;
  const ratio = (time: number) => kept(time) / kept(s);
  const at = (share: number) => schedule.time(lambda + share * h);

  const m = await prediction(x, s);
  const phi1 = Math.expm1(sign * h);
  const scale = scaled(t);
  const base = [
    [ratio(t), x],
    [-scale * phi1, m],
  ] as const;
  if (order === 1) return combine(...base);

  const phi2 = phi1 / h - sign;
  const s1 = at(r1);
  const x1 = combine([ratio(s1), x], [-scaled(s1) * Math.expm1(sign * r1 * h), m]);
  const m1 = await prediction(x1, s1);
  if (order === 2) {
    const factor = solverType === "taylor" ? (-sign / r1) * scale * phi2 : (-0.5 / r1) * scale * phi1;
    return combine(...base, [factor, m1], [-factor, m]);
  }

  const s2 = at(r2);
  const phi12 = Math.expm1(sign * r2 * h);
  const inner = -sign * (r2 / r1) * scaled(s2) * (phi12 / (r2 * h) - sign);
  const x2 = combine([ratio(s2), x], [-scaled(s2) * phi12, m], [inner, m1], [-inner, m]);
  const m2 = await prediction(x2, s2);
  if (solverType === "dpm_solver") {
    const factor = (-sign / r2) * scale * phi2;
    return combine(...base, [factor, m2], [-factor, m]);
  }
  const phi3 = phi2 / h - 0.5;
  const [first, second] = [combine([1 / r1, m1], [-1 / r1, m]), combine([1 / r2, m2], [-1 / r2, m])];
  const slope = combine([r2 / (r2 - r1), first], [-r1 / (r2 - r1), second]);
  const curvature = combine([2 / (r2 - r1), second], [-2 / (r2 - r1), first]);
  return combine(...base, [-sign * scale * phi2, slope], [-scale * phi3, curvature]);
}
