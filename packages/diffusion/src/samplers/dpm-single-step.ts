/**
 * One step of DPM-Solver and DPM-Solver++ (Lu et al., 2022; diffusion.md 9.1), of order 1 to 3.
 *
 * Both integrate the same equation exactly in its linear part: in terms of the noise (DPM-Solver) or of the data (++), which
 * only changes signs. `sign` is +1 for noise and -1 for data throughout.
 */
import type { NoiseSchedule } from "../schedules/noise-schedule.js";
import { combine, type Trajectory } from "./sampler.js";
import { attemptCounter } from "./step-control.js";

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

// DPM-Solver-12 and -23 (Lu et al., 2022; diffusion.md 9.1): every step is taken in two orders, whose difference says whether it
// stands and how large the next one is.

const FIRST_STEP = 0.05;
const SAFETY = 0.9;
const TIME_TOLERANCE = 1e-5;

export interface DpmAdaptiveSettings {
  readonly rule: SingleStepRule;
  readonly order: number;
  readonly startTime: number;
  readonly endTime: number;
  readonly timeScale: number;
  readonly absoluteTolerance: number;
  readonly relativeTolerance: number;
  /** Steps that may be tried, taken or not. */
  readonly maxAttempts: number;
  /** States in a batch; the worst one decides. */
  readonly batch: number;
}

/** The state at the end time. @throws DataError where no step size will do */
export async function dpmAdaptive(
  settings: DpmAdaptiveSettings,
  prediction: Prediction,
  trajectory: Trajectory,
): Promise<Float32Array> {
  const { rule, order, startTime, endTime, timeScale } = settings;
  const { schedule } = rule;
  const positions = defaultPositions(order);
  const last = schedule.lambda(endTime);
  let [x, previousLow, time] = [trajectory.start, trajectory.start, startTime];
  let h = FIRST_STEP;
  const attempts = attemptCounter(settings.maxAttempts);
  while (Math.abs(time - endTime) > TIME_TOLERANCE) {
    const next = schedule.time(schedule.lambda(time) + h);
    attempts.begin(time * timeScale, next * timeScale, endTime * timeScale);
    const shared = oncePerTime(prediction);
    const low = await dpmSingleStep(rule, shared, order - 1, x, time, next, positions);
    const high = await dpmSingleStep(rule, shared, order, x, time, next, positions);
    const error = attempts.checked(largestError(settings, low, high, previousLow), time * timeScale);
    const accepted = error <= 1;
    const attempt = { start: time, size: h, error, accepted };
    if (accepted) [x, previousLow, time] = [high, low, next];
    h = Math.min(SAFETY * h * error ** (-1 / order), last - schedule.lambda(time));
    await trajectory.report(x, time * timeScale, attempt);
  }
  return x;
}

/** Within one step the two orders meet the same state at the same time, so the second asks in vain. */
function oncePerTime(prediction: Prediction): Prediction {
  const known = new Map<number, Promise<Float32Array>>();
  return (x, t) => {
    const result = known.get(t) ?? prediction(x, t);
    known.set(t, result);
    return result;
  };
}

/** Root mean square of the scaled difference, of the worst state. */
function largestError(
  { absoluteTolerance, relativeTolerance, batch }: DpmAdaptiveSettings,
  low: Float32Array,
  high: Float32Array,
  previous: Float32Array,
): number {
  const sums = new Float64Array(batch);
  const size = low.length / batch;
  low.forEach((value, i) => {
    const scale = Math.max(
      absoluteTolerance,
      relativeTolerance * Math.max(Math.abs(value), Math.abs(previous[i] as number)),
    );
    const sample = Math.floor(i / size);
    sums[sample] = (sums[sample] as number) + (((high[i] as number) - value) / scale) ** 2;
  });
  return Math.sqrt(Math.max(...sums) / size);
}
