/**
 * DPM-Solver-12 and -23 (Lu et al., 2022; diffusion.md 9.1): every step is taken in two orders, whose difference says whether it
 * stands and how large the next one is.
 */
import { defaultPositions, dpmSingleStep, type Prediction, type SingleStepRule } from "./dpm-single-step.js";
import type { Trajectory } from "./sampler.js";
import { attemptCounter } from "./step-control.js";

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
