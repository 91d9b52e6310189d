/**
 * Trainings in which an update sees the first channels of latents, a drawn number of them (DC-AE 1.5; training.md section 12,
 * diffusion.md section 8.6): so that the first channels hold the picture, and the others its details.
 *
 * What is left out is multiplied by 0, with a mask that comes with each batch: there is one program, however many counts there are,
 * and adaptive convolutions, which are linear in their channels, give what they would give on fewer. For several counts an update runs
 * that program once per count and gathers the gradients, as accumulation does, so memory is that of one.
 */
import { ConfigError, createRandom, input, Tensor, type Value } from "@dcae/core/graph";
import type { ChannelsConfig } from "../configs/schema.js";
import type { TrainingBatch, TrainingBatches } from "./training-batches.js";

/** The input that is 1 for the channels that take part and 0 for the others. */
export const CHANNEL_MASK = "mask";

/** What decides how often an update runs its programs. */
interface Repeated {
  readonly accumulate: number;
  readonly channels: ChannelsConfig | null;
}

/** Batches that an update runs its programs on: those of the data, each with every count that is drawn. */
export function batchesPerUpdate({ accumulate, channels }: Repeated): number {
  return accumulate * (channels?.draw ?? 1);
}

/** Mask [1, channels, 1, 1] as an input of a program. */
export function channelMaskInput(channels: number): Value {
  return input(CHANNEL_MASK, [1, channels, 1, 1]);
}

/** The mask of the first `count` of `channels`. */
export function channelMask(count: number, channels: number): Tensor<"float32"> {
  return Tensor.float32(new Float32Array(channels).fill(1, 0, count), [1, channels, 1, 1]);
}

/** The masks of all counts, by count. */
export function channelMasks({ counts }: ChannelsConfig, channels: number): ReadonlyMap<number, Tensor<"float32">> {
  return new Map(counts.map((count) => [count, channelMask(count, channels)]));
}

/**
 * The counts of an update: those that are always there, then uniform draws, in which a count may be there twice (and then counts
 * twice). They follow from the seed and the number of the update, so that a resumed run draws the same.
 *
 * @param update from 0
 */
export function drawCounts({ counts, draw, always }: ChannelsConfig, seed: number, update: number): number[] {
  const [smallest, largest] = [counts[0] as number, counts.at(-1) as number];
  const fixed = { none: [], largest: [largest], "smallest-and-largest": [smallest, largest] }[always];
  const random = createRandom(seed, `channel counts of update ${update}`);
  const drawn = Array.from({ length: draw - fixed.length }, () => counts[random.nextInteger(counts.length)] as number);
  return [...fixed, ...drawn];
}

interface CountedModel {
  readonly latentChannels: number;
  readonly isAdaptive: boolean;
  /** For messages: what the model is called, and how it becomes adaptive. */
  readonly name: string;
  readonly hint: string;
}

/** @throws ConfigError for counts that latents don't have, and for models that take all channels only */
export function checkCounts({ counts }: ChannelsConfig, model: CountedModel): void {
  const { latentChannels, isAdaptive, name, hint } = model;
  if (!isAdaptive) {
    throw new ConfigError(`channels: ${name} isn't adaptive, it takes all of its ${latentChannels} channels`, { hint });
  }
  const largest = counts.at(-1) as number;
  if (largest <= latentChannels) return;
  throw new ConfigError(`channels: ${largest} of ${latentChannels} latent channels are asked for`, {
    hint: `Counts are at most ${latentChannels}.`,
  });
}

/** The counts in words. */
export function describeCounts({ counts, draw, always }: ChannelsConfig, latentChannels: number): string {
  const fixed = { none: [], largest: ["the largest"], "smallest-and-largest": ["the smallest", "the largest"] }[always];
  const drawn = draw - fixed.length;
  const parts = [...fixed, ...(drawn === 0 ? [] : [`${drawn} at random`])];
  return `the first ${counts.join(", ")} of ${latentChannels} latent channels, per update ${parts.join(", ")}`;
}

interface CountedPosition {
  /** Of the data. */
  readonly data: unknown;
  /** Batches taken from the data. */
  readonly batches: number;
}

/**
 * Batches of data, each as often as counts are drawn, with their masks. All batches of an update have the same counts.
 *
 * @param open opens the data at a position
 */
export async function batchesWithCounts(
  open: (position: unknown) => Promise<TrainingBatches>,
  position: unknown,
  channels: ChannelsConfig,
  { latentChannels, accumulate, seed }: { latentChannels: number; accumulate: number; seed: number },
): Promise<TrainingBatches> {
  const from = position as CountedPosition | undefined;
  const batches = await open(from?.data);
  let taken = from?.batches ?? 0;
  let current: { readonly batch: TrainingBatch; readonly counts: number[] } | undefined;
  return {
    async next() {
      if (current === undefined) {
        const counts = drawCounts(channels, seed, Math.floor(taken / accumulate));
        current = { batch: await batches.next(), counts };
        taken += 1;
      }
      const { batch, counts } = current;
      const isFirst = counts.length === channels.draw;
      const count = counts.shift() as number;
      if (counts.length === 0) current = undefined;
      return {
        inputs: { ...batch.inputs, [CHANNEL_MASK]: channelMask(count, latentChannels) },
        images: isFirst ? batch.images : 0,
        position: { data: batch.position, batches: taken },
      };
    },
    close: () => batches.close(),
  };
}
