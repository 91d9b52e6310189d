/** A training's optimizer as the step wants it: with the name of its state, and the averages that it keeps. */
import { resolveSchedule } from "../configs/run-schedule.js";
import type { OptimizerConfig } from "../configs/schema.js";
import type { EmaOptions } from "../optimizer/index.js";
import type { OptimizerOptions } from "../step/index.js";

/**
 * @param name of its state, as in "autoencoder"
 * @param steps updates that it makes in all, which the schedule may follow
 * @param ema averages to keep; null: none
 */
export function namedOptimizer(
  name: string,
  optimizer: OptimizerConfig,
  steps: number,
  ema: EmaOptions | null = null,
): OptimizerOptions {
  const common = { name, averages: ema === null ? [] : [ema] };
  const schedule = resolveSchedule(optimizer.schedule, steps);
  if (optimizer.kind === "came") return { ...common, came: { ...optimizer, schedule } };
  return { ...common, adamW: { ...optimizer, schedule } };
}
