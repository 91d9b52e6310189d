/**
 * What keeps solvers that choose their own steps from going on for ever: an error norm that isn't a number, steps too small to
 * move, and a bound on attempts.
 */
import { ConfigError, DataError } from "@dcae/core";

/** Steps that were tried, taken or not: far more than a smooth model needs. */
export const MAX_ATTEMPTS = 10_000;

export interface StepControl {
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
export interface AttemptCounter {
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
