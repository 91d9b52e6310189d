/**
 * The adaptive solver of the flow equation with which USiT and SiT are sampled: Dormand and Prince (1980), order 5(4), with the
 * step control of torchdiffeq (diffusion.md 9.3).
 *
 * Times and step sizes are double, states and stages float32. Steps aren't cut at t = 1: the last one passes it, and the state
 * there comes from the step's quartic interpolant. The error norm runs over the whole batch, so samples of a batch share their
 * step sizes, and a sample's result depends (within the tolerance) on its neighbors.
 */
import { type FlowOptions, flow } from "./flow.js";
import {
  attemptCounter,
  checkStepControl,
  combine,
  MAX_ATTEMPTS,
  type Sampler,
  startTrajectory,
  type Term,
} from "./sampler.js";

export interface Dopri5Options extends FlowOptions {
  /** Default 1e-6. */
  readonly absoluteTolerance?: number;
  /** Default 1e-3. */
  readonly relativeTolerance?: number;
  /** Steps that may be tried, taken or not (default 10,000); then the sampler gives up. */
  readonly maxAttempts?: number;
}

/** Times of the stages after the first, as shares of the step; the last two stages are at its end. */
const NODES = [1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1];
/** Stage weights; the last row is also the solution. */
const ROWS = [
  [1 / 5],
  [3 / 40, 9 / 40],
  [44 / 45, -56 / 15, 32 / 9],
  [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
  [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
  [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
];
/** Difference of the solutions of order 5 and 4. */
const ERROR = [
  35 / 384 - 1951 / 21600,
  0,
  500 / 1113 - 22642 / 50085,
  125 / 192 - 451 / 720,
  -2187 / 6784 + 12231 / 42400,
  11 / 84 - 649 / 6300,
  -1 / 60,
];
/** Solution in the middle of the step. */
const MIDDLE = [
  6025192743 / 30085553152 / 2,
  0,
  51252292925 / 65400821598 / 2,
  -2691868925 / 45128329728 / 2,
  187940372067 / 1594534317056 / 2,
  -1776094331 / 19743644256 / 2,
  11237099 / 235043384 / 2,
];

const SAFETY = 0.9;
const [LARGEST_GROWTH, LARGEST_SHRINKAGE] = [10, 0.2];
const ORDER = 5;

type Derivative = (x: Float32Array, t: number) => Promise<Float32Array>;

/** Root mean square of numerator / (atol + rtol * scale). */
function scaledNorm(
  numerator: Float32Array,
  scale: (i: number) => number,
  { absolute, relative }: { readonly absolute: number; readonly relative: number },
): number {
  let sum = 0;
  numerator.forEach((value, i) => {
    sum += (value / (absolute + relative * scale(i))) ** 2;
  });
  return Math.sqrt(sum / numerator.length);
}

const weighted = (dt: number, weights: readonly number[], stages: readonly Float32Array[]): Term[] =>
  weights.map((weight, i) => [dt * weight, stages[i] as Float32Array]);

/** The largest float32 below t. */
function justBelow(t: number): number {
  const bits = new Int32Array(Float32Array.of(t).buffer);
  bits[0] = (bits[0] as number) - 1;
  return new Float32Array(bits.buffer)[0] as number;
}

/** A first step size from the first two slopes (Hairer, Norsett and Wanner, II.4). */
async function firstStep(
  f: Derivative,
  x: Float32Array,
  slope: Float32Array,
  t: number,
  tolerances: { readonly absolute: number; readonly relative: number },
): Promise<number> {
  const scale = (i: number) => Math.abs(x[i] as number);
  const [d0, d1] = [scaledNorm(x, scale, tolerances), scaledNorm(slope, scale, tolerances)];
  const h0 = d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : (0.01 * d0) / d1;
  const next = await f(combine([1, x], [Math.fround(h0), slope]), t + h0);
  const d2 = scaledNorm(combine([1, next], [-1, slope]), scale, tolerances) / h0;
  const h1 = d1 <= 1e-15 && d2 <= 1e-15 ? Math.max(1e-6, h0 * 1e-3) : (0.01 / Math.max(d1, d2)) ** (1 / ORDER);
  return Math.min(100 * h0, h1);
}

/** Factor to the next step size. */
function growth(error: number): number {
  if (error === 0) return LARGEST_GROWTH;
  const shrinkage = error < 1 ? 1 : LARGEST_SHRINKAGE;
  return Math.min(LARGEST_GROWTH, Math.max(SAFETY / error ** (1 / ORDER), shrinkage));
}

/** @throws ConfigError for tolerances that aren't positive; what it returns throws DataError where no step size will do */
/**
 * Dormand and Prince's method of order 5 with steps of its own choice, for flow models: the official default of USiT and SiT.
 *
 * @throws EngineError when no step size meets the tolerances
 */
export function dopri5(options: Dopri5Options = {}): Sampler {
  const { absoluteTolerance = 1e-6, relativeTolerance = 1e-3, maxAttempts = MAX_ATTEMPTS, ...rest } = options;
  checkStepControl("dopri5", { absoluteTolerance, relativeTolerance, maxAttempts });
  const tolerances = { absolute: absoluteTolerance, relative: relativeTolerance };
  const { range, velocity } = flow(rest);
  return async (model, noise, run) => {
    const trajectory = startTrajectory(model, noise, run);
    const f: Derivative = async (x, t) => velocity(x, t, await trajectory.evaluate(x, t));
    const end = range[1];
    let [t, x] = [range[0], trajectory.start];
    let slope = await f(x, t);
    let dt = await firstStep(f, x, slope, t, tolerances);
    const attempts = attemptCounter(maxAttempts);
    for (;;) {
      attempts.begin(t, t + dt, end);
      const stages = [slope];
      const [t32, dt32] = [Math.fround(t), Math.fround(dt)];
      let y = x;
      for (const [i, row] of ROWS.entries()) {
        const node = NODES[i] as number;
        y = combine([1, x], ...weighted(dt32, row, stages));
        stages.push(await f(y, node === 1 ? justBelow(t + dt) : t32 + node * dt32));
      }
      const [before, after] = [x, y];
      const scale = (i: number) => Math.max(Math.abs(before[i] as number), Math.abs(after[i] as number));
      const error = attempts.checked(scaledNorm(combine(...weighted(dt32, ERROR, stages)), scale, tolerances), t);
      const accepted = error <= 1;
      const attempt = { start: t, size: dt, error, accepted };
      if (accepted && t + dt >= end) {
        const result = interpolateStep(before, after, stages, dt32, (end - t) / dt);
        await trajectory.report(result, end, attempt);
        return trajectory.finish(result);
      }
      if (accepted) [x, slope, t] = [after, stages[ROWS.length] as Float32Array, t + dt];
      dt *= growth(error);
      await trajectory.report(x, t, attempt);
    }
  };
}

/** The state at a share s of a step, by the quartic through both ends, their slopes, and the middle. */
function interpolateStep(
  y0: Float32Array,
  y1: Float32Array,
  stages: readonly Float32Array[],
  dt: number,
  s: number,
): Float32Array {
  const [f0, f1] = [stages[0] as Float32Array, stages[ROWS.length] as Float32Array];
  const middle = combine([1, y0], ...weighted(dt, MIDDLE, stages));
  const [s2, s3, s4] = [s ** 2, s ** 3, s ** 4];
  return combine(
    [1 - 11 * s2 + 18 * s3 - 8 * s4, y0],
    [-5 * s2 + 14 * s3 - 8 * s4, y1],
    [16 * s2 - 32 * s3 + 16 * s4, middle],
    [dt * (s - 4 * s2 + 5 * s3 - 2 * s4), f0],
    [dt * (s2 - 3 * s3 + 2 * s4), f1],
  );
}
