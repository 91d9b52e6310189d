/** Carries out a diffusion training: says what will train, trains, says what came out. */
import { loadAutoencoder } from "@dcae/core";
import { objectiveOf } from "@dcae/diffusion";
import { type MeasuredUpdate, measureUpdate } from "@dcae/train";
import {
  type DiffusionConfig,
  type DiffusionPlan,
  type DiffusionResult,
  denoiserStages,
  planDiffusion,
  trainDiffusion,
} from "@dcae/train/diffusion";
import type { CliIo } from "../cli-io.js";
import { formatBytes, formatCount } from "../format-number.js";
import { hubOptions, modelSource } from "../options/model-options.js";
import type { DiffusionFlags } from "./diffusion-options.js";
import { formatMeasured } from "./dry-run.js";
import { describeEngine, openTrainingEngine } from "./training-engine.js";
import { trainingProgress } from "./training-progress.js";

export interface ChosenDiffusion {
  readonly config: DiffusionConfig;
  readonly directory: string;
}

/** A plan as lines of text. */
function formatDiffusionPlan(plan: DiffusionPlan): string {
  const { name, arch, objective, parameters, tokens, gmacs, steps, latentsPerUpdate, epochs, assumptions, memory } =
    plan;
  const passes = epochs === null ? "" : `, ${epochs.toPrecision(3)} passes over the data`;
  return [
    `${name}: ${arch} with ${formatCount(parameters)} parameters, ${formatCount(tokens)} tokens, ${gmacs.toPrecision(4)} GMACs a latent`,
    `  ${formatCount(steps)} updates of ${formatCount(latentsPerUpdate)} latents${passes}; objective: ${objective}`,
    `  learning rate: ${plan.learningRate}`,
    `  memory of tensors, estimated: ${formatBytes(memory.total)} (state ${formatBytes(memory.state)}, ` +
      `activations ${formatBytes(memory.activations)})`,
    ...assumptions.map((assumption) => `  ${assumption}`),
  ].join("\n");
}

/** What an update takes on the engine that the flags name. */
async function measure(
  config: DiffusionConfig,
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
  const plan = await planDiffusion(config);
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
      config,
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
