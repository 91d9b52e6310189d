/**
 * DPM-Solver++ as UViT is sampled (Lu et al., 2022; diffusion.md 9.1): single steps of order 3 on a uniform time grid, exactly
 * `steps` model evaluations, and the state at t = 0.001 as the result.
 */
import { ConfigError } from "@dcae/core";
import { type NoiseSchedule, noiseSchedule } from "../schedules/noise-schedule.js";
import { linspace32 } from "../schedules/rounding.js";
import {
  attemptCounter,
  checkStepControl,
  combine,
  MAX_ATTEMPTS,
  type Sampler,
  startTrajectory,
  type Trajectory,
} from "./sampler.js";

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

// One step of DPM-Solver and DPM-Solver++ (Lu et al., 2022; diffusion.md 9.1), of order 1 to 3.
//
// Both integrate the same equation exactly in its linear part: in terms of the noise (DPM-Solver) or of the data (++), which
// only changes signs. `sign` is +1 for noise and -1 for data throughout.

/** The model in the form that the solver integrates: noise or data at a state and time. */
type Prediction = (x: Float32Array, t: number) => Promise<Float32Array>;

interface SingleStepRule {
  readonly schedule: NoiseSchedule;
  readonly predict: "noise" | "data";
  /** How derivatives are formed from differences. */
  readonly solverType: "dpm_solver" | "taylor";
}

/** Positions of the inner evaluations in lambda, as shares of the step. */
interface InnerPositions {
  readonly r1: number;
  readonly r2: number;
}

/** Thirds for order 3, halves for order 2. */
function defaultPositions(order: number): InnerPositions {
  return order === 3 ? { r1: 1 / 3, r2: 2 / 3 } : { r1: 1 / 2, r2: 0 };
}

/** State at t from the state x at s. */
async function dpmSingleStep(
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

interface DpmAdaptiveSettings {
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
async function dpmAdaptive(
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
