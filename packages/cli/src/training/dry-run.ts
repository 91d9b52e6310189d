/** `--dry-run`: the plan of a training, with what it needs, and the time of an update where it can be tried out. */
import {
  autoencoderStages,
  describeModel,
  formatDuration,
  formatPlan,
  inspectTraining,
  type MeasuredUpdate,
  measureUpdate,
  optimizesFor,
  type PhasePlan,
  type TrainingConfig,
} from "@dcae/train";
import type { CliIo } from "../cli-io.js";
import { openTrainingEngine } from "./training-engine.js";
import type { TrainingFlags } from "./training-options.js";

/** The time of a run in words. */
export function formatMeasured(measured: MeasuredUpdate, steps: number): string {
  if ("reason" in measured) return `time not measured: ${measured.reason}`;
  const seconds = measured.seconds < 0.1 ? measured.seconds.toPrecision(1) : measured.seconds.toPrecision(2);
  const all = formatDuration(measured.seconds * steps);
  return `time, measured here: ${Number(seconds)} s for an update, ${all} for all, beside reading data and evaluations`;
}

async function measurePhases(
  config: TrainingConfig,
  plans: readonly PhasePlan[],
  flags: TrainingFlags,
): Promise<MeasuredUpdate[]> {
  const engine = await openTrainingEngine(flags);
  try {
    const model = describeModel(config).config;
    const measured: MeasuredUpdate[] = [];
    for (const phase of config.phases.filter(({ name }) => plans.some((plan) => plan.name === name))) {
      const perceptual = config.perceptual !== "none" && phase.lpipsWeight !== 0;
      const stages = autoencoderStages(phase, model, perceptual, optimizesFor(engine, phase));
      measured.push(await measureUpdate(engine, stages, phase.accumulate));
    }
    return measured;
  } finally {
    await engine.dispose();
  }
}

/** @throws for data, weights and checkpoints that are there and can't be used; what isn't there is named in the plan */
export async function dryRun(
  { config, directory }: { readonly config: TrainingConfig; readonly directory: string },
  plans: readonly PhasePlan[],
  flags: TrainingFlags,
  io: CliIo,
): Promise<void> {
  const needs = await inspectTraining(config);
  const measured = await measurePhases(config, plans, flags);
  if (flags.json === true) {
    const phases = plans.map((plan, i) => ({ ...plan, measured: measured[i] }));
    return io.out(JSON.stringify({ training: config.name, directory, ...needs, phases }, undefined, 2));
  }
  const { found, missing, assumed } = needs;
  plans.forEach((plan, i) => {
    io.out(`${formatPlan(plan)}\n  ${formatMeasured(measured[i] as MeasuredUpdate, plan.steps)}`);
  });
  for (const text of found) io.out(text);
  for (const text of assumed) io.out(`taken for granted: ${text}`);
  for (const text of missing) io.out(`missing: ${text}`);
}
