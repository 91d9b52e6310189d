/** Carries out a diffusion training: says what will train, trains, says what came out. */
import { loadAutoencoder } from "@dcae/core";
import { objectiveOf } from "@dcae/diffusion";
import { type MeasuredUpdate, measureUpdate } from "@dcae/train";
import type { CliIo } from "../cli-io.js";
import { formatCount } from "../format-number.js";
import { hubOptions, modelSource } from "../options/model-options.js";
import { formatMeasured } from "../training/dry-run.js";
import { describeEngine, openTrainingEngine } from "../training/training-engine.js";
import { trainingProgress } from "../training/training-progress.js";
import { checkSamples } from "./check-samples.js";
import { denoiserStages } from "./denoiser-stages.js";
import { describeNetwork, isSelfContained, type LatentFacts } from "./describe-denoiser.js";
import type { DiffusionFlags } from "./diffusion-options.js";
import { type DiffusionPlan, formatDiffusionPlan, planDiffusion } from "./plan-training.js";
import type { DiffusionTraining } from "./schema.js";
import { type DiffusionResult, trainDiffusion } from "./train-diffusion.js";
import { hasTrainingLatents, openTrainingLatents } from "./training-latents.js";

export interface ChosenDiffusion {
  readonly config: DiffusionTraining;
  readonly directory: string;
}

/**
 * The plan of a training, from its latents where they are there.
 *
 * @throws DataError when there are none and the training doesn't say what it is for; ConfigError for what doesn't belong together
 */
export async function planOf(config: DiffusionTraining): Promise<DiffusionPlan> {
  const assumed = (await hasTrainingLatents(config)) ? undefined : assumedLatents(config);
  if (assumed !== undefined) {
    const network = describeNetwork(config, assumed.facts);
    checkSamples(network, config, undefined);
    return planDiffusion(config, network, { missing: `${config.data.path}: ${assumed.words}` });
  }
  const { latents, notes, close } = await openTrainingLatents(config);
  try {
    const network = describeNetwork(config, latents);
    checkSamples(network, config, latents.classes);
    return planDiffusion(config, network, { length: latents.length, notes });
  } finally {
    await close();
  }
}

/** What a plan takes for granted while there are no latents; undefined where the training leaves it open. */
function assumedLatents(
  config: DiffusionTraining,
): { readonly facts: LatentFacts | undefined; readonly words: string } | undefined {
  if (config.plannedFor === null) {
    return isSelfContained(config) ? { facts: undefined, words: "there are no latents yet" } : undefined;
  }
  const { channels, size, classes } = config.plannedFor;
  const shape = [channels, size, size] as const;
  return {
    facts: { shape, classes: { length: classes }, folder: "plannedFor" },
    words: `there are no latents yet, planned for [${shape.join(", ")}] in ${classes} classes`,
  };
}

/** What an update takes on the engine that the flags name. */
async function measure(
  config: DiffusionTraining,
  { network }: DiffusionPlan,
  flags: DiffusionFlags,
): Promise<MeasuredUpdate> {
  const engine = await openTrainingEngine(flags);
  try {
    return await measureUpdate(engine, denoiserStages(network, objectiveOf(network.recipe), config), config.accumulate);
  } finally {
    await engine.dispose();
  }
}

/** @throws the reason of `io.signal` when a signal stopped the run, after it was saved */
export async function runDiffusion(
  { config, directory }: ChosenDiffusion,
  flags: DiffusionFlags,
  io: CliIo,
): Promise<void> {
  const { json = false } = flags;
  const plan = await planOf(config);
  if (flags.dryRun === true) {
    const measured = await measure(config, plan, flags);
    if (json) return io.out(JSON.stringify({ directory, ...plan, measured }, undefined, 2));
    return io.out(`${formatDiffusionPlan(plan)}\n  ${formatMeasured(measured, plan.steps)}`);
  }
  io.note(`${config.name}, in ${directory}`);
  io.note(formatDiffusionPlan(plan));
  const engine = await openTrainingEngine(flags);
  const onAbort = () => io.note("dcae: stopping after this update; again to stop at once, without saving");
  io.signal.addEventListener("abort", onAbort, { once: true });
  let result: DiffusionResult;
  try {
    const computedBy = describeEngine(engine, flags);
    io.note(`engine: ${computedBy}`);
    result = await trainDiffusion({
      training: config,
      directory,
      engine,
      computedBy,
      loadDecoder: (source) => loadDecoder(source, flags, io),
      resume: flags.resume ?? false,
      signal: io.signal,
      progress: trainingProgress(config.name, io),
      onMessage: (text) => io.note(text),
    });
  } finally {
    io.signal.removeEventListener("abort", onAbort);
    io.progress.clear();
    await engine.dispose();
  }
  io.out(json ? JSON.stringify({ training: config.name, directory, ...result }, undefined, 2) : format(result));
  if (!io.signal.aborted) return;
  io.note(`dcae: go on with \`dcae diffusion train --resume --out ${directory}\``);
  throw io.signal.reason;
}

/** On the CPU with as many threads as training: samples are a small part of a run. */
async function loadDecoder(source: string, { threads }: DiffusionFlags, io: CliIo) {
  const options = { ...hubOptions({}, io), device: "cpu" as const, ...(threads === undefined ? {} : { threads }) };
  return loadAutoencoder(await modelSource(source, {}), options);
}

function format({ status, step, checkpoint, model, best }: DiffusionResult): string {
  const at = `${status} after update ${formatCount(step)}`;
  if (model === undefined) return `${at}, saved as ${checkpoint ?? "nothing: it had not begun"}`;
  return `${at}, model in ${model}${best === null ? "" : `, best loss ${best.score.toPrecision(5)} at update ${formatCount(best.step)}`}`;
}
