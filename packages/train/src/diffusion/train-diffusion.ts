/**
 * Trains a diffusion model on a folder of latents. This is where the two packages meet: the objectives and networks of
 * `@dcae/diffusion` are graphs, which the trainer differentiates and runs.
 *
 * The run's `model` (and `best`) hold the averaged weights where averages are kept, as the published models do; further averages are
 * in `model-ema-<decay>` (and `best-ema-<decay>`).
 */

import { createHash } from "node:crypto";
import { ConfigError, loadAutoencoder, type PretrainedAutoencoder } from "@dcae/core";
import { initialWeights, type Weights } from "@dcae/core/checkpoint";
import { isFirst, plural, requireSame, rowsPerRank, together } from "@dcae/core/internal";
import { failClosed, withClosing } from "@dcae/core/runtime";
import {
  type ChannelScale,
  denoiserParameters,
  type LatentDataset,
  objectiveOf,
  openDenoiser,
  type ParsedDenoiser,
  saveDenoiser,
} from "@dcae/diffusion";
import { checkDecodes, checkDenoiserWeights, weightsAtSize } from "@dcae/diffusion/internal";
import { keptAverages } from "../configs/run-schedule.js";
import { batchesPerUpdate } from "../data/channel-counts.js";
import type { TrainingProgress } from "../logging/progress.js";
import { createRanksEngine } from "../parallel/ranks-engine.js";
import { NO_WEIGHTS } from "../parallel/share-weights.js";
import { type EmaOptions, stateWeights } from "../step/averages.js";
import { bestBy } from "../trainer/best-by.js";
import { type FitResult, fit } from "../trainer/fit.js";
import { writeParameterTable } from "../trainer/parameter-table.js";
import { runFiles } from "../trainer/run-record.js";
import { type OpenSetMetrics, type SetMetrics, setMetricsOf } from "../trainer/set-metrics.js";
import { type TrainingRunOptions, writeTrainingFile } from "../trainer/training-run.js";
import { denoiserStages, denoiserTable } from "./denoiser-stages.js";
import { checkSamples, describeNetwork, describeResult } from "./describe-denoiser.js";
import type { DiffusionConfig } from "./diffusion-config.js";
import { denoiserEvaluation } from "./evaluate-denoiser.js";
import { latentBatches, openTrainingLatents } from "./training-latents.js";

/** Options of `trainDiffusion`. */
export interface TrainDiffusionOptions extends TrainingRunOptions {
  /** A recipe or a file (`loadDiffusionConfig`), or an object (`parseDiffusionConfig`). */
  readonly config: DiffusionConfig;
  /** Loads the autoencoder that decodes samples. Default: `loadAutoencoder`, on the CPU. */
  readonly loadDecoder?: ((source: string) => Promise<PretrainedAutoencoder>) | undefined;
  /** Opens what `evaluate` of the training names. Closed here. */
  readonly openSetMetrics?: OpenSetMetrics | undefined;
  readonly progress?: TrainingProgress | undefined;
}

/** How a training of a diffusion model ended, and where the model lies. */
export interface DiffusionResult extends FitResult {
  /** Folder of the trained model; undefined when the run was stopped. */
  readonly model: string | undefined;
}

/**
 * Trains until the configuration's updates are made, or the signal asks to stop.
 *
 * @throws TrainingError when training diverges; DataError, CheckpointError and ConfigError for what can't be used
 */
export async function trainDiffusion(options: TrainDiffusionOptions): Promise<DiffusionResult> {
  const { config: training, onMessage = () => undefined } = options;
  return withClosing(async (onEnd) => {
    const { ranks } = options;
    const { latents, held, channelScale, notes, close } = await together(ranks, "the latents", () =>
      openTrainingLatents(training),
    );
    onEnd(close);
    await requireSame(ranks, { data: await fingerprint(latents) });
    const network = describeNetwork(training, latents);
    for (const note of notes) onMessage(`note: ${note}`);
    checkSamples(network, training, latents.classes);
    onMessage(
      `${plural(latents.length, "latent")} in ${plural(latents.classes.length, "class", "classes")}; evaluated on those of ${held.folder}`,
    );
    // The first rank evaluates, and the others get their weights from it.
    const { decoder, setMetrics, weights } = await together(ranks, "the start", async () => {
      if (!isFirst(ranks)) return { decoder: undefined, setMetrics: undefined, weights: NO_WEIGHTS };
      const opened = await openDecoder(options, latents);
      if (opened !== undefined) onEnd(() => opened.dispose());
      const distances = await openDistances(options, latents, opened);
      if (distances !== undefined) onEnd(() => distances.close());
      const found = await startWeights(options, network, channelScale);
      onEnd(() => found.close());
      return { decoder: opened, setMetrics: distances, weights: found };
    });
    return run(options, { latents, held, channelScale, network, decoder, setMetrics, weights });
  });
}

const COMPARED_LATENTS = 8;

/** What tells one set of latents from another: what its folder says, and some of them. */
async function fingerprint(latents: LatentDataset): Promise<string> {
  const { length, classes, shape, scalingFactor, shiftFactor } = latents;
  const indices = Array.from({ length: COMPARED_LATENTS }, (_, i) => Math.floor((i * length) / COMPARED_LATENTS));
  const { latents: values, labels } = await latents.read(indices);
  const hash = createHash("sha256").update(JSON.stringify({ length, classes, shape, scalingFactor, shiftFactor }));
  return hash.update(values.bytes).update(labels.bytes).digest("hex");
}

interface Parts {
  readonly latents: LatentDataset;
  readonly held: LatentDataset;
  readonly channelScale: ChannelScale | undefined;
  readonly network: ParsedDenoiser;
  readonly decoder: PretrainedAutoencoder | undefined;
  readonly setMetrics: SetMetrics | undefined;
  readonly weights: Weights;
}

async function run(options: TrainDiffusionOptions, parts: Parts): Promise<DiffusionResult> {
  const { config: training, directory, computedBy, resume, signal, progress, onMessage, ranks } = options;
  const engine = ranks === undefined ? options.engine : createRanksEngine(options.engine, ranks);
  const { latents, held, channelScale, network, decoder, setMetrics, weights } = parts;
  const { config, recipe } = network;
  const { batch, accumulate, channels, seed, ema } = training;
  const { rank, size } = ranks ?? { rank: 0, size: 1 };
  const share = await together(ranks, "dividing batches", async () => rowsPerRank(batch, size, training.name));
  const rows = { start: rank * share, stop: (rank + 1) * share };
  const objective = objectiveOf(recipe);
  const names = denoiserParameters(config).map(({ name }) => name);
  const files = runFiles(directory);
  const description = await describeResult(network, training, parts, files.model);
  // biome-ignore lint/suspicious/noFocusedTests: this fit trains a model
  const done = await fit({
    directory,
    engine,
    stages: denoiserStages(network, objective, { ...training, batch: share }, size),
    chunks: batchesPerUpdate(training),
    ranks,
    weights,
    seed,
    batches: async (position) =>
      latentBatches({ latents, config, objective, batch, accumulate, channels, seed, rows }, position),
    steps: training.steps,
    identity: identityOf(training, network, latents, channelScale),
    checkpointEvery: training.checkpointEvery,
    keep: training.keep,
    logEvery: training.logEvery,
    evaluateEvery: training.evaluateEvery,
    evaluate: bestBy(
      training.best,
      denoiserEvaluation({ engine, training, description, objective, latents: held, decoder, setMetrics, signal }),
      setMetrics?.better,
    ),
    async exportModel(state, current, folder) {
      const save = (path: string, average: EmaOptions | null) =>
        saveDenoiser(path, description, stateWeights(names, state, current, average), { overwrite: true });
      await save(folder, ema);
      for (const other of keptAverages(ema).slice(1)) await save(`${folder}-ema-${other.decay}`, other);
    },
    ...(resume === undefined ? {} : { resume }),
    async onStart() {
      await writeTrainingFile(directory, training);
      await writeParameterTable(files.parameters, denoiserTable(network, training));
    },
    signal,
    progress,
    onMessage,
    computedBy,
    config: training,
  });
  return { ...done, model: done.status === "finished" ? files.model : undefined };
}

/** What decides the bits of a run: all but how long it goes on and how it is watched. */
function identityOf(
  training: DiffusionConfig,
  network: ParsedDenoiser,
  latents: LatentDataset,
  channelScale: ChannelScale | undefined,
) {
  const { seed, batch, accumulate, channels, optimizer, ema, recompute, optimize, init, best } = training;
  const { length, classes, shape, scalingFactor, shiftFactor } = latents;
  // Runs from before shifts were noted had none, and go on.
  const shift = shiftFactor === null || shiftFactor === 0 ? {} : { shiftFactor };
  const data = {
    length,
    classes,
    shape,
    scalingFactor,
    ...shift,
    ...(channelScale === undefined ? {} : { channelScale }),
  };
  return {
    network: network.config,
    objective: network.recipe.trainScheduler,
    data,
    seed,
    batch,
    accumulate,
    // Runs of earlier versions, which didn't know of them, go on.
    ...(channels === null ? {} : { channels }),
    optimizer,
    ema,
    recompute,
    optimize,
    init,
    ...(best === undefined ? {} : { best }),
  };
}

/** Fresh weights, or those of a checkpoint of the same network, be it for latents of another size. */
async function startWeights(
  { config: { init, seed }, onMessage }: TrainDiffusionOptions,
  network: ParsedDenoiser,
  channelScale: ChannelScale | undefined,
): Promise<Weights> {
  if (init === null) return initialWeights(denoiserParameters(network.config), seed);
  const { weights, description } = await openDenoiser(init);
  try {
    if ((description.channels === undefined) !== (channelScale === undefined)) {
      const [there, here] = channelScale === undefined ? ["normalized", "false"] : ["plain", "true"];
      throw new ConfigError(`init ${init}: was trained on ${there} channels, but data.normalizeChannels is ${here}`, {
        hint: `Set it to ${String(channelScale === undefined)}.`,
      });
    }
    const sized = weightsAtSize(weights, description.config, network.config);
    if (sized !== weights) {
      const [there, here] = [description.config.inputSize, network.config.inputSize];
      onMessage?.(
        `init ${init} is for latents of ${there}x${there}: its position embedding becomes one of ${here}x${here}`,
      );
    }
    return checkDenoiserWeights(sized, network);
  } catch (error) {
    return failClosed(error, [() => weights.close()]);
  }
}

async function openDecoder(
  { config: training, loadDecoder = decodeOnCpu, onMessage }: TrainDiffusionOptions,
  latents: LatentDataset,
): Promise<PretrainedAutoencoder | undefined> {
  if (training.samples === null) return undefined;
  const source = training.autoencoder ?? latents.source;
  if (source === null || latents.scalingFactor === null) {
    onMessage?.(
      `no samples will be shown: ${latents.folder} doesn't say which autoencoder it belongs to, and its scale`,
    );
    return undefined;
  }
  const decoder = await loadDecoder(source);
  try {
    checkDecodes(decoder, latents.shape[0], latents.folder);
    return decoder;
  } catch (error) {
    return failClosed(error, [() => decoder.dispose()]);
  }
}

/** @throws ConfigError where the training names distances, and there are no samples to compute them of */
async function openDistances(
  { config: { evaluate, samples }, openSetMetrics }: TrainDiffusionOptions,
  { folder, shape }: LatentDataset,
  decoder: PretrainedAutoencoder | undefined,
): Promise<SetMetrics | undefined> {
  if (evaluate.length === 0 || decoder !== undefined) {
    return setMetricsOf(evaluate, openSetMetrics, shape[1] * (decoder?.compression ?? 1));
  }
  throw new ConfigError(`evaluate: ${evaluate.join(", ")} can't be computed without samples`, {
    hint: samples === null ? "Let `samples` be {}." : `Name the autoencoder of ${folder}.`,
  });
}

/** Samples are a small part of a run. */
const decodeOnCpu = (source: string) => loadAutoencoder(source, { device: "cpu" });
