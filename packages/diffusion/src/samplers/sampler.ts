/**
 * What samplers have in common: one signature, a callback after every step, and arithmetic on states.
 *
 * A sampler turns noise into latents with a model that it calls at times of its own choice. It knows nothing of classes or
 * guidance (`guidedModel` hides them in the model). States are float32 as in the reference, coefficients double.
 */
import { ConfigError, DataError, ShapeError } from "@dcae/core";
import { type Random, sizeOf, Tensor } from "@dcae/core/graph";

/**
 * The model as a sampler sees it.
 *
 * @param x states [B, C, S, S]
 * @param t model time, the same for all states, rounded to float32
 * @returns [B, C, S, S], or [B, 2C, S, S] with a learned sigma
 */
export type Model = (x: Tensor, t: number) => Promise<Tensor>;

/** What happened in a step. */
export interface SamplerStep {
  /** 1 for the first. */
  readonly step: number;
  /** Steps in all; undefined where the sampler decides as it goes. */
  readonly total: number | undefined;
  /** Model time that was reached. */
  readonly time: number;
  /** State after the step. */
  readonly x: Tensor;
  /** Adaptive solvers: size and error ratio of the step, and whether it was taken (if not, x is the state before it). */
  readonly attempt?: {
    readonly start: number;
    readonly size: number;
    readonly error: number;
    readonly accepted: boolean;
  };
}

/** What goes with one run of a sampler: noise, a callback after each step, a signal. */
export interface SamplerRun {
  /** Standard normal numbers of a state's size, for samplers that add noise; called once per draw, in order. */
  readonly drawNoise?: ((size: number) => Float32Array) | undefined;
  readonly onStep?: ((step: SamplerStep) => void | Promise<void>) | undefined;
  /** Stops between two steps; the sampler then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Noise to latents.
 *
 * @param noise standard normal [B, C, S, S]
 * @returns latents of the same shape, in the scale the model was trained on
 */
export type Sampler = (model: Model, noise: Tensor, run?: SamplerRun) => Promise<Tensor>;

/** A sampler at work: what its steps need. */
export interface Trajectory {
  /** The noise. */
  readonly start: Float32Array;
  /** The model's output at a state. @throws DataError naming step and time when either isn't finite */
  evaluate(x: Float32Array, t: number): Promise<Float32Array>;
  /** Reports a step. @throws DataError when its state isn't finite */
  report(x: Float32Array, time: number, attempt?: SamplerStep["attempt"]): Promise<void>;
  /** Fresh standard normal numbers. */
  draw(): Float32Array;
  /** The last state as a tensor. */
  finish(x: Float32Array): Tensor;
}

const MODEL_HINT = "Check the weights and the guidance scale; in float16, try float32.";
const OVERFLOW_HINT = "Lower the guidance scale, or take more steps.";

/** @param total steps in all, where known */
export function startTrajectory(model: Model, noise: Tensor, run: SamplerRun = {}, total?: number): Trajectory {
  const { shape } = noise;
  if (shape.length !== 4) throw new ShapeError(`sampler: noise must be [B, C, S, S], got [${shape.join(", ")}]`);
  const size = sizeOf(shape);
  let step = 0;
  // What isn't finite spreads to all that follows: adaptive solvers would try ever smaller steps, the others waste theirs.
  const requireFinite = (values: Float32Array, what: string, time: number, hint: string): void => {
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad < 0) return;
    const place = `in step ${step + 1} at time ${Number(time.toPrecision(6))}`;
    throw new DataError(`sampler: ${what} ${values[bad]} at element ${bad}, ${place}`, { hint });
  };
  return {
    start: noise.toFloat32(),
    async evaluate(x, t) {
      run.signal?.throwIfAborted();
      const time = Math.fround(t);
      requireFinite(x, "the state became", time, OVERFLOW_HINT);
      const output = (await model(Tensor.float32(x, shape), time)).toFloat32();
      requireFinite(output, "the model gave", time, MODEL_HINT);
      return output;
    },
    async report(x, time, attempt) {
      requireFinite(x, "the state became", time, OVERFLOW_HINT);
      step++;
      await run.onStep?.({
        step,
        total,
        time,
        x: Tensor.float32(x, shape),
        ...(attempt === undefined ? {} : { attempt }),
      });
      run.signal?.throwIfAborted();
    },
    draw() {
      if (run.drawNoise === undefined) {
        throw new ShapeError("sampler: this sampler adds noise at every step and needs drawNoise");
      }
      const values = run.drawNoise(size);
      if (values.length !== size) throw new ShapeError(`sampler: drawNoise gave ${values.length} numbers, not ${size}`);
      return values;
    },
    finish(x) {
      const bad = x.findIndex((value) => !Number.isFinite(value));
      if (bad >= 0) {
        throw new DataError(`sampler: the result has ${x[bad]} at element ${bad} after ${step} steps`, {
          hint: OVERFLOW_HINT,
        });
      }
      return Tensor.float32(x, shape);
    },
  };
}

/** Noise of every step from a seeded generator. */
export function noiseFrom(random: Random): (size: number) => Float32Array {
  return (size) => random.normal(new Float32Array(size));
}

/** A factor and an array. */
export type Term = readonly [factor: number, values: Float32Array];

const f32 = Math.fround;

/**
 * The sum of factor * values over the terms, every operation rounded to float32 as those of the reference. Adaptive solvers
 * notice: where two orders agree to the last bit, the rounding is what is left as their error.
 */
export function combine(...terms: readonly Term[]): Float32Array {
  const first = terms[0]?.[1] ?? new Float32Array();
  const out = new Float32Array(first.length);
  for (let i = 0; i < out.length; i++) {
    let sum = 0;
    for (const [factor, values] of terms) sum = f32(sum + f32(f32(factor) * (values[i] as number)));
    out[i] = sum;
  }
  return out;
}

// What keeps solvers that choose their own steps from going on for ever: an error norm that isn't a number, steps too small to
// move, and a bound on attempts.

/** Steps that were tried, taken or not: far more than a smooth model needs. */
export const MAX_ATTEMPTS = 10_000;

interface StepControl {
  readonly absoluteTolerance: number;
  readonly relativeTolerance: number;
  /** Steps that may be tried, taken or not. */
  readonly maxAttempts: number;
}

/** @throws ConfigError for tolerances that aren't positive, and a number of attempts that isn't a positive integer */
export function checkStepControl(
  solver: string,
  { absoluteTolerance, relativeTolerance, maxAttempts }: StepControl,
): void {
  for (const [name, value] of Object.entries({ absoluteTolerance, relativeTolerance })) {
    if (!(value > 0 && Number.isFinite(value))) {
      throw new ConfigError(`${solver}: ${name} must be a positive number, got ${value}`);
    }
  }
  if (!(Number.isInteger(maxAttempts) && maxAttempts >= 1)) {
    throw new ConfigError(`${solver}: maxAttempts must be a positive integer, got ${maxAttempts}`);
  }
}

/** One attempt after the other. */
interface AttemptCounter {
  /**
   * Call it before a step.
   *
   * @param time where it begins
   * @param next where it ends; the same as `time` when the step is too small for the numbers that hold it
   * @param goal where the solver wants to get
   * @throws DataError where the step doesn't move, and after the last attempt
   */
  begin(time: number, next: number, goal: number): void;
  /** The error norm of a step. @throws DataError when it isn't a number: no step size would make it one */
  checked(error: number, time: number): number;
}

export function attemptCounter(maxAttempts: number): AttemptCounter {
  let attempts = 0;
  const at = (time: number) => Number(time.toPrecision(6));
  return {
    begin(time, next, goal) {
      if (Number.isNaN(next) || next === time) {
        throw new DataError(
          `sampler: no step is small enough for the tolerances at time ${at(time)}, after ${attempts} attempts`,
          { hint: "Check the weights, lower the guidance scale, or choose a sampler with a fixed number of steps." },
        );
      }
      if (attempts === maxAttempts) {
        throw new DataError(
          `sampler: has not reached time ${at(goal)} but ${at(time)} after ${attempts} attempts at a step`,
          { hint: "Raise the tolerances, or choose a sampler with a fixed number of steps." },
        );
      }
      attempts++;
    },
    checked(error, time) {
      if (!Number.isNaN(error)) return error;
      throw new DataError(`sampler: the error of step ${attempts} at time ${at(time)} is NaN: the state overflows`, {
        hint: "Check the weights, and lower the guidance scale.",
      });
    },
  };
}
