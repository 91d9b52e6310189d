/** What a diffusion training would do: network, updates, arithmetic, memory. Nothing is computed. */
import { countMacs, sizeOf } from "@dcae/core/graph";
import { buildDenoiseProgram, denoiserParameters, objectiveOf, type ParsedDenoiser, tokenCount } from "@dcae/diffusion";
import { describeSchedule, estimateMemory, type MemoryEstimate, resolveSchedule, stagePrograms } from "@dcae/train";
import { formatBytes, formatCount } from "../format-number.js";
import { denoiserStages } from "./denoiser-stages.js";
import type { DiffusionTraining } from "./schema.js";

export interface DiffusionPlan {
  readonly name: string;
  readonly arch: string;
  readonly network: ParsedDenoiser;
  readonly objective: string;
  readonly parameters: number;
  /** Patch tokens per latent. */
  readonly tokens: number;
  /** Of one forward pass of one latent; an update costs about three times that for each latent. */
  readonly gmacs: number;
  readonly steps: number;
  readonly latentsPerUpdate: number;
  /** Passes over the latents; null where they aren't known. */
  readonly epochs: number | null;
  /** What the plan takes for granted. */
  readonly assumptions: readonly string[];
  /** The course of the learning rate in words. */
  readonly learningRate: string;
  readonly memory: MemoryEstimate;
}

/** What is known of the latents: how many there are, or that there are none. */
export type PlannedLatents =
  | { readonly length: number; readonly notes: readonly string[] }
  | { readonly missing: string };

export function planDiffusion(
  training: DiffusionTraining,
  network: ParsedDenoiser,
  latents: PlannedLatents,
): DiffusionPlan {
  const { config, recipe } = network;
  const objective = objectiveOf(recipe);
  const latentsPerUpdate = training.batch * training.accumulate;
  return {
    name: training.name,
    arch: config.arch,
    network,
    objective: objective.name,
    parameters: denoiserParameters(config).reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    tokens: tokenCount(config),
    gmacs: countMacs(buildDenoiseProgram(config, 1)) / 1e9,
    steps: training.steps,
    latentsPerUpdate,
    epochs: "missing" in latents ? null : (training.steps * latentsPerUpdate) / latents.length,
    assumptions: "missing" in latents ? [latents.missing] : latents.notes,
    learningRate: describeSchedule(resolveSchedule(training.optimizer.schedule, training.steps), training.steps),
    memory: estimateMemory(stagePrograms(denoiserStages(network, objective, training))),
  };
}

/** A plan as lines of text. */
export function formatDiffusionPlan(plan: DiffusionPlan): string {
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
