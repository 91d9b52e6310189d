/** What a diffusion training would do: network, updates, arithmetic, memory. Nothing is computed. */
import { rowsPerRank } from "@dcae/core/internal";
import { objectiveOf, type ParsedDenoiser } from "@dcae/diffusion";
import { denoiserCost } from "@dcae/diffusion/internal";
import { describeRates } from "../configs/run-schedule.js";
import { describeCounts } from "../data/channel-counts.js";
import { estimateMemory, type MemoryEstimate } from "../trainer/estimate-memory.js";
import type { ParameterRow } from "../trainer/parameter-table.js";
import { stagePrograms } from "../trainer/update-stage.js";
import { denoiserStages, denoiserTable } from "./denoiser-stages.js";
import { checkSamples, describeNetwork, isSelfContained, type LatentFacts } from "./describe-denoiser.js";
import type { DiffusionConfig } from "./diffusion-config.js";
import { hasTrainingLatents, openTrainingLatents } from "./training-latents.js";

/** What a training of a diffusion model will do. */
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
  /** Processes that share them. */
  readonly ranks: number;
  /** Which counts of channels train, in words; null: all channels. */
  readonly channels: string | null;
  /** Passes over the latents; null where they aren't known. */
  readonly epochs: number | null;
  /** What the plan takes for granted. */
  readonly assumptions: readonly string[];
  /** The course of the learning rate in words. */
  readonly learningRate: string;
  /** Of one process. */
  readonly memory: MemoryEstimate;
  /** Every parameter, and what becomes of it. */
  readonly parameterTable: readonly ParameterRow[];
}

/** What is known of the latents: how many there are, or that there are none. */
type PlannedLatents = { readonly length: number; readonly notes: readonly string[] } | { readonly missing: string };

function planOf(
  training: DiffusionConfig,
  network: ParsedDenoiser,
  latents: PlannedLatents,
  ranks: number,
): DiffusionPlan {
  const { config, recipe } = network;
  const objective = objectiveOf(recipe);
  const latentsPerUpdate = training.batch * training.accumulate;
  const local = { ...training, batch: rowsPerRank(training.batch, ranks, training.name) };
  return {
    name: training.name,
    arch: config.arch,
    network,
    objective: objective.name,
    ...denoiserCost(config),
    steps: training.steps,
    latentsPerUpdate,
    ranks,
    channels: training.channels && describeCounts(training.channels, config.inChannels),
    epochs: "missing" in latents ? null : (training.steps * latentsPerUpdate) / latents.length,
    assumptions: "missing" in latents ? [latents.missing] : latents.notes,
    learningRate: describeRates(training.optimizer, training.steps),
    memory: estimateMemory(stagePrograms(denoiserStages(network, objective, local, ranks)), ranks),
    parameterTable: denoiserTable(network, training),
  };
}

/**
 * The plan of a training, from its latents where they are there.
 *
 * @param ranks processes that share each batch
 * @throws DataError when there are none and the training doesn't say what it is for; ConfigError for what doesn't belong together
 */
export async function planDiffusion(config: DiffusionConfig, ranks = 1): Promise<DiffusionPlan> {
  const assumed = (await hasTrainingLatents(config)) ? undefined : assumedLatents(config);
  if (assumed !== undefined) {
    const network = describeNetwork(config, assumed.facts);
    checkSamples(network, config, undefined);
    return planOf(config, network, { missing: `${config.data.path}: ${assumed.words}` }, ranks);
  }
  const { latents, notes, close } = await openTrainingLatents(config);
  try {
    const network = describeNetwork(config, latents);
    checkSamples(network, config, latents.classes);
    return planOf(config, network, { length: latents.length, notes }, ranks);
  } finally {
    await close();
  }
}

/** What a plan takes for granted while there are no latents; undefined where the training leaves it open. */
function assumedLatents(
  config: DiffusionConfig,
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
