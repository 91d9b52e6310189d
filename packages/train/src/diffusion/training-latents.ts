/**
 * The latents of a training, and those that it is evaluated on: opened and held against each other before anything is computed, then
 * drawn in batches with dropped labels, noise and times. All randomness follows from the seed and the number of the batch, so that a
 * resumed run goes on with the same numbers.
 */
import { stat } from "node:fs/promises";
import { ConfigError, DataError, Tensor } from "@dcae/core";
import {
  type ChannelScale,
  type DenoiserConfig,
  drawObjective,
  type LatentDataset,
  type Objective,
  openLatents,
} from "@dcae/diffusion";
import { batchIndices, channelScaleOf, dropLabels, normalizeChannels, stepRandom } from "@dcae/diffusion/internal";
import type { ChannelsConfig } from "../configs/schema.js";
import { batchesPerUpdate, CHANNEL_MASK, channelMask, drawCounts } from "../data/channel-counts.js";
import type { TrainingBatch, TrainingBatches } from "../data/training-batches.js";
import type { DiffusionConfig } from "./diffusion-config.js";

export interface TrainingLatents {
  /** What is trained on. */
  readonly latents: LatentDataset;
  /** What is evaluated on, with the labels of `latents`; the same where no other folder is named. */
  readonly held: LatentDataset;
  /** What the channels of both were normalized by; undefined where they are as the folders have them. */
  readonly channelScale: ChannelScale | undefined;
  /** What couldn't be compared, because a folder doesn't say it. */
  readonly notes: readonly string[];
  close(): Promise<void>;
}

/** Whether the folder of latents is there, whatever it holds. */
export async function hasTrainingLatents({ data: { path } }: DiffusionConfig): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/**
 * Opens both folders.
 *
 * @throws DataError when latents aren't there, or naming the file that is missing, cut off or of another shape; ConfigError when
 *   the two folders don't belong together
 */
export async function openTrainingLatents(config: DiffusionConfig): Promise<TrainingLatents> {
  const { validation, normalizeChannels: normalizes } = config.data;
  const latents = await openOrSayHow(config);
  try {
    const channelScale = normalizes ? await channelScaleOf(latents) : undefined;
    const seen = (dataset: LatentDataset) =>
      channelScale === undefined ? dataset : normalizeChannels(dataset, channelScale);
    if (validation === null) {
      return { latents: seen(latents), held: seen(latents), channelScale, notes: [], close: () => latents.close() };
    }
    const folder = await openLatents(validation);
    const close = async () => {
      await folder.close();
      await latents.close();
    };
    try {
      const { held, notes } = alignLatents(folder, latents);
      return { latents: seen(latents), held: seen(held), channelScale, notes, close };
    } catch (error) {
      await folder.close();
      throw error;
    }
  } catch (error) {
    await latents.close();
    throw error;
  }
}

/** Where there are none yet, the error says how to make them. */
async function openOrSayHow(config: DiffusionConfig): Promise<LatentDataset> {
  const { path } = config.data;
  try {
    return await openLatents(path);
  } catch (error) {
    if ((await hasTrainingLatents(config)) || !(error instanceof DataError)) throw error;
    // Recipes say both commands.
    const [making = ""] = config.command?.split(" && ") ?? [];
    const how = making.startsWith("dcae latents ") && making.includes(` ${path}`) ? making : "dcae latents";
    throw new DataError(`${path}: there are no latents`, {
      cause: error,
      hint: `Make them with \`${how}\`, or name others with --data.`,
    });
  }
}

/**
 * Latents to evaluate on, with the labels of the training's. Classes are the same where their names are, whatever their order and
 * number; all else must agree.
 *
 * @returns the data set, and what couldn't be compared
 * @throws ConfigError naming everything that differs, and both folders
 */
export function alignLatents(held: LatentDataset, latents: LatentDataset): Pick<TrainingLatents, "held" | "notes"> {
  const differences: string[] = [];
  const notes: string[] = [];
  const compare = (what: string, there: unknown, here: unknown) => {
    if (there === null && here === null) return;
    if (there === null || here === null) {
      const silent = there === null ? held : latents;
      notes.push(`${silent.folder} doesn't say its ${what}: it is taken to be that of the other folder`);
    } else if (JSON.stringify(there) !== JSON.stringify(here)) {
      differences.push(`its ${what} is ${JSON.stringify(there)}, not ${JSON.stringify(here)}`);
    }
  };
  compare("shape", held.shape, latents.shape);
  compare("scaling factor", held.scalingFactor, latents.scalingFactor);
  compare("shift factor", held.shiftFactor, latents.shiftFactor);
  // The same weights may lie in two places, and others may have come to lie in one.
  if (held.weights !== null && latents.weights !== null) {
    if (held.weights !== latents.weights) {
      const names = held.source === latents.source ? "with other weights" : `${held.source}, not ${latents.source}`;
      differences.push(`its autoencoder is ${names}`);
    }
  } else compare("autoencoder", held.source, latents.source);
  const positions = held.classes.map((name) => latents.classes.indexOf(name));
  const unknown = held.classes.filter((_, i) => positions[i] === -1);
  if (unknown.length > 0) {
    const more = unknown.length > 5 ? `, and ${unknown.length - 5} more` : "";
    differences.push(`it has classes that the other lacks (${unknown.slice(0, 5).join(", ")}${more})`);
  }
  if (differences.length > 0) {
    throw new ConfigError(
      `${held.folder}: can't be evaluated on by a training on ${latents.folder}: ${differences.join("; ")}`,
      {
        hint: "Write both with the same autoencoder, size and factor, from folders with the same class names.",
      },
    );
  }
  if (positions.every((position, i) => position === i)) return { held: { ...held, classes: latents.classes }, notes };
  const aligned: LatentDataset = {
    ...held,
    classes: latents.classes,
    async read(indices) {
      const { latents: values, labels } = await held.read(indices);
      const renumbered = Int32Array.from(labels.data, (label) => positions[label] as number);
      return { latents: values, labels: new Tensor("int32", renumbered, labels.shape) };
    },
  };
  return { held: aligned, notes };
}

export interface LatentBatchOptions {
  readonly latents: LatentDataset;
  readonly config: DenoiserConfig;
  readonly objective: Objective;
  readonly batch: number;
  /** Batches of the data per update. */
  readonly accumulate: number;
  /** Counts of channels, each of which sees every batch of the data, with noise, times and dropped labels of its own. */
  readonly channels: ChannelsConfig | null;
  readonly seed: number;
  /** Rows of every batch that are a rank's own. Default: all. */
  readonly rows?: { readonly start: number; readonly stop: number } | undefined;
}

/** The inputs of batch `number` for the objective's loss. */
async function drawBatch(options: LatentBatchOptions, number: number): Promise<Record<string, Tensor>> {
  const { latents, config, objective, batch, channels, seed } = options;
  const repeats = channels?.draw ?? 1;
  const indices = batchIndices(latents.length, { batchSize: batch, seed }, Math.floor(number / repeats));
  const random = stepRandom(seed, number);
  const { start, stop } = options.rows ?? { start: 0, stop: batch };
  const { latents: values, labels } = await latents.read(indices.slice(start, stop));
  // What is drawn is drawn for the whole batch: which rows are here changes nothing.
  const allLabels = new Int32Array(batch);
  allLabels.set(labels.data, start);
  const drawn: Record<string, Tensor> = {
    ...(config.numClasses === 0 ? {} : { labels: dropLabels(allLabels, config, random) }),
    ...drawObjective(objective, random, [batch, ...values.shape.slice(1)]),
  };
  return {
    latents: values,
    ...Object.fromEntries(Object.entries(drawn).map(([name, tensor]) => [name, tensor.slice([{ start, stop }])])),
    ...(channels === null ? {} : { [CHANNEL_MASK]: drawMask(channels, options, number) }),
  };
}

/** The mask of batch `number`: those of an update have its counts in turn. */
function drawMask(channels: ChannelsConfig, options: LatentBatchOptions, number: number): Tensor {
  const update = Math.floor(number / batchesPerUpdate(options));
  const counts = drawCounts(channels, options.seed, update);
  return channelMask(counts[number % counts.length] as number, options.config.inChannels);
}

/**
 * The inputs of latents `indices`, each with noise and a time that are its own whichever batch it is in. No label is dropped.
 *
 * @param first number of the draws of latent 0, far from the numbers of batches
 */
export async function drawEach(
  { latents, config, objective, seed }: Pick<LatentBatchOptions, "latents" | "config" | "objective" | "seed">,
  first: number,
  indices: readonly number[],
): Promise<Record<string, Tensor>> {
  const { latents: values, labels } = await latents.read(indices);
  const shape = [1, ...values.shape.slice(1)];
  const draws = indices.map((index) => drawObjective(objective, stepRandom(seed, first + index), shape));
  const names = Object.keys(draws[0] ?? {});
  return {
    latents: values,
    ...(config.numClasses === 0 ? {} : { labels }),
    ...Object.fromEntries(names.map((name) => [name, Tensor.concat(draws.map((draw) => draw[name] as Tensor))])),
  };
}

/** The batches of a run; the next one is made while the engine computes. */
export function latentBatches(options: LatentBatchOptions, position: unknown): TrainingBatches {
  let number = typeof position === "number" ? position : 0;
  let upcoming: Promise<TrainingBatch> | undefined;
  const make = async (at: number): Promise<TrainingBatch> => ({
    inputs: await drawBatch(options, at),
    images: at % (options.channels?.draw ?? 1) === 0 ? options.batch : 0,
    position: at + 1,
  });
  return {
    async next() {
      const batch = await (upcoming ?? make(number));
      number += 1;
      upcoming = make(number);
      // Its failure is that of the call which asks for it.
      upcoming.catch(() => undefined);
      return batch;
    },
    async close() {
      await upcoming?.catch(() => undefined);
    },
  };
}
