/** What a configuration says of an optimizer in terms of the length of its run, as the step wants it: its schedule, its state, its averages. */

import { ConfigError } from "@dcae/core/graph";
import { formatCount, plural } from "@dcae/core/internal";
import { type Schedule, scheduleEnd } from "../optimizer/schedule.js";
import type { EmaOptions } from "../step/averages.js";
import type { OptimizerOptions } from "../step/training-step.js";
import type { EmaConfig, MethodConfig, OptimizerConfig, ScheduleConfig } from "./schema.js";

/** A number of updates, where shares are those of `steps`. */
function updatesOf(value: number | string, steps: number): number {
  return typeof value === "number" ? value : Math.round((Number(value.slice(0, -1)) / 100) * steps);
}

/**
 * The schedule of an optimizer that makes `steps` updates: shares of the run as numbers, and ends that aren't given where the
 * run ends.
 *
 * @throws ConfigError when its parts don't follow each other
 */
export function resolveSchedule(schedule: ScheduleConfig, steps: number): Schedule {
  if (schedule.kind === "constant") return schedule;
  if (schedule.kind === "cosine") return { ...schedule, maxSteps: schedule.maxSteps ?? steps };
  const warmupSteps = updatesOf(schedule.warmupSteps, steps);
  if (schedule.kind === "constant-warmup") return { ...schedule, warmupSteps };
  if (schedule.kind === "cosine-warmup") {
    const { decaySteps = [Math.max(steps - warmupSteps, 1)] } = schedule;
    if (decaySteps.some((end, i) => end <= (decaySteps[i - 1] ?? 0))) {
      throw new ConfigError(`schedule: decaySteps ${decaySteps.join(", ")} don't ascend`);
    }
    return { ...schedule, warmupSteps, decaySteps };
  }
  const stableSteps = updatesOf(schedule.stableSteps, steps);
  const { totalSteps = Math.max(steps, 1) } = schedule;
  if (stableSteps < totalSteps) return { ...schedule, warmupSteps, stableSteps, totalSteps };
  throw new ConfigError(
    `schedule: stableSteps ${stableSteps} isn't before the end of the decay, update ${totalSteps}`,
    {
      hint: 'Lower it, or give it as a share of the run, as in "60%".',
    },
  );
}

/** The course of the learning rate in words, with what doesn't fit a run of `steps` updates. */
function describeSchedule(schedule: Schedule, steps: number): string {
  const { kind, lr } = schedule;
  const warmup =
    "warmupSteps" in schedule && schedule.warmupSteps > 0
      ? ` after a warm-up of ${plural(schedule.warmupSteps, "update")}`
      : "";
  const end = scheduleEnd(schedule);
  const stable = kind === "warmup-stable-decay" ? ` from update ${formatCount(schedule.stableSteps)}` : "";
  const decay = end === undefined ? "" : `,${stable} by a cosine to 0 at update ${formatCount(end)}`;
  const remarks = [
    ...("warmupSteps" in schedule && schedule.warmupSteps >= steps ? ["the run ends within the warm-up"] : []),
    ...(end !== undefined && end < steps
      ? [`it ends before the run does: the rate of the last ${plural(steps - end, "update")} is 0`]
      : []),
    ...(end !== undefined && end > steps
      ? [`the run ends before it does, after ${formatCount(steps)} of ${formatCount(end)} updates`]
      : []),
  ];
  return [`${lr}${warmup}${decay}`, ...remarks].join("; ");
}

/** The course of an optimizer's learning rates in words, those of its groups behind its own. */
export function describeRates({ groups = [], schedule }: OptimizerConfig, steps: number): string {
  const own = describeSchedule(resolveSchedule(schedule, steps), steps);
  const others = groups.map(
    (group) =>
      `${group.name} (${group.kind ?? "adamw"}) ${describeSchedule(resolveSchedule(group.schedule, steps), steps)}`,
  );
  return [own, ...others].join("; ");
}

/** All averages that a training keeps, the evaluated one first. */
export function keptAverages(ema: EmaConfig | null): EmaOptions[] {
  if (ema === null) return [];
  const { others = [], ...evaluated } = ema;
  return [evaluated, ...others];
}

/**
 * A training's optimizer as the step wants it: with the name of its state, and the averages that it keeps.
 *
 * @param name of its state, as in "autoencoder"
 * @param steps updates that it makes in all, which the schedule may follow
 * @param ema averages to keep; null: none
 */
export function namedOptimizer(
  name: string,
  optimizer: OptimizerConfig,
  steps: number,
  ema: EmaConfig | null = null,
): OptimizerOptions {
  const resolve = <T extends MethodConfig>(method: T) => ({
    ...method,
    kind: method.kind ?? "adamw",
    schedule: resolveSchedule(method.schedule, steps),
  });
  const { groups, ...own } = optimizer;
  return {
    ...resolve(own),
    ...(groups === undefined ? {} : { groups: groups.map(resolve) }),
    name,
    averages: keptAverages(ema),
  } as OptimizerOptions;
}
