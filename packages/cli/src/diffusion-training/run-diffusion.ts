/** Carries out a diffusion training: says what will train, trains, says what came out. */
import { loadAutoencoder } from "@dcae/core";
import type { CliIo } from "../cli-io.js";
import { formatCount } from "../format-number.js";
import { hubOptions, modelSource } from "../options/model-options.js";
import { describeEngine, openTrainingEngine } from "../training/training-engine.js";
import { trainingProgress } from "../training/training-progress.js";
import { checkSamples } from "./check-samples.js";
import { describeNetwork, isSelfContained } from "./describe-denoiser.js";
import type { DiffusionFlags } from "./diffusion-options.js";
import { type DiffusionPlan, formatDiffusionPlan, planDiffusion } from "./plan-training.js";
import type { DiffusionTraining } from "./schema.js";
import { type DiffusionResult, trainDiffusion } from "./train-diffusion.js";
import { openTrainingLatents } from "./training-latents.js";

export interface ChosenDiffusion {
  readonly config: DiffusionTraining;
  readonly directory: string;
}

/** The plan of a training. Latents are only needed where the configuration leaves open what they say. */
export async function planOf(config: DiffusionTraining): Promise<DiffusionPlan> {
  if (isSelfContained(config)) {
    const network = describeNetwork(config);
    checkSamples(network, config, undefined);
    return planDiffusion(config, network, null);
  }
  const latents = await openTrainingLatents(config);
  try {
    const network = describeNetwork(config, latents);
    checkSamples(network, config, latents.classes);
    return planDiffusion(config, network, latents.length);
  } finally {
    await latents.close();
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
    return io.out(json ? JSON.stringify({ directory, ...plan }, undefined, 2) : formatDiffusionPlan(plan));
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
