/** A folder of latents, whichever layout it has: what is read of it, what `statistics.json` says, and which latents make up which batch. */

import { ConfigError } from "@dcae/core";
import { createRandom, Tensor } from "@dcae/core/graph";
import { type ChannelSums, channelMoments } from "@dcae/core/internal";
import type { LatentLayout } from "./latent-manifest.js";

/** Latents with their labels. */
export interface LatentBatch {
  /** float32 [n, C, S, S], as they were written (scaled). */
  readonly latents: Tensor<"float32">;
  /** int32 [n] */
  readonly labels: Tensor<"int32">;
}

/** A folder of latents, open for reading. */
export interface LatentDataset {
  /** For messages. */
  readonly folder: string;
  readonly layout: LatentLayout;
  /** Of one latent, [C, S, S]. */
  readonly shape: readonly [number, number, number];
  /** Number of latents. */
  readonly length: number;
  /** Names of the classes; labels are positions in this list. */
  readonly classes: readonly string[];
  /** The autoencoder that made them, as `LatentManifest.source`; null in folders of the reference, which don't say. */
  readonly source: string | null;
  /** What they were multiplied by: they are (z - shiftFactor) * scalingFactor; null where the folder doesn't say. */
  readonly scalingFactor: number | null;
  /** What was subtracted before; null where the folder doesn't say. */
  readonly shiftFactor: number | null;
  /** Fingerprint of the autoencoder's weights; null where the folder doesn't say. */
  readonly weights: string | null;
  /**
   * Latents by number.
   *
   * @throws DataError naming the file that is missing, cut off or of another shape
   */
  read(indices: ArrayLike<number>): Promise<LatentBatch>;
  /** Mean and spread over all latents. */
  statistics(): Promise<LatentFolderStatistics>;
  /** Releases file handles. */
  close(): Promise<void>;
}

/** Latents that were read one by one, as a batch. */
export function joinLatents(
  items: readonly { readonly values: Float32Array; readonly label: number }[],
  shape: readonly [number, number, number],
): LatentBatch {
  const size = shape[0] * shape[1] * shape[2];
  const values = new Float32Array(items.length * size);
  for (const [i, item] of items.entries()) values.set(item.values, i * size);
  const labels = Int32Array.from(items, ({ label }) => label);
  return {
    latents: Tensor.float32(values, [items.length, ...shape]),
    labels: new Tensor("int32", labels, [items.length]),
  };
}

// What `statistics.json` of a folder of latents says (diffusion.md section 13).

/** Mean and spread of a folder's latents, as a whole and by channel. */
export interface LatentFolderStatistics {
  /** Latents that were counted. */
  readonly count: number;
  readonly mean: number;
  /** Unbiased (n - 1), as in all statistics of latents. */
  readonly std: number;
  /** Root mean square; 1 / rms of unscaled latents is the published kind of scaling factor. */
  readonly rms: number;
  readonly channelMean: readonly number[];
  readonly channelStd: readonly number[];
}

/**
 * @param count latents that the sums run over
 * @param plane values of one channel of a latent
 */
export function statisticsFrom(sums: ChannelSums, count: number, plane: number): LatentFolderStatistics {
  const { mean, std, rms, channels } = channelMoments(sums, count * plane);
  return {
    ...{ count, mean, std, rms },
    channelMean: channels.map((channel) => channel.mean),
    channelStd: channels.map((channel) => channel.std),
  };
}

// Which latents make up which batch (diffusion.md section 13): shuffled per epoch, one contiguous slice per process, the
// incomplete last batch dropped. The order follows from seed and epoch alone, so a resumed run goes on where it stopped.

export interface BatchOrder {
  /** Latents per batch of one process. */
  readonly batchSize: number;
  readonly seed: number;
  /** Default 0 of 1. */
  readonly rank?: number;
  readonly worldSize?: number;
}

/** Batches of one epoch. */
export function batchesPerEpoch(length: number, { batchSize, worldSize = 1 }: BatchOrder): number {
  return Math.floor(Math.floor(length / worldSize) / batchSize);
}

/**
 * The numbers of batch `step` of a run that began at 0.
 *
 * @throws ConfigError when there are too few latents for one batch
 */
export function batchIndices(length: number, order: BatchOrder, step: number): Uint32Array {
  const { batchSize, seed, rank = 0, worldSize = 1 } = order;
  const perEpoch = batchesPerEpoch(length, order);
  if (perEpoch < 1) {
    throw new ConfigError(
      `batches of ${batchSize} on ${worldSize} processes need ${batchSize * worldSize} latents, got ${length}`,
    );
  }
  const epoch = Math.floor(step / perEpoch);
  const shuffled = epochOrder(length, seed, epoch);
  const start = rank * Math.floor(length / worldSize) + (step % perEpoch) * batchSize;
  return shuffled.slice(start, start + batchSize);
}

let cached: { readonly key: string; readonly order: Uint32Array } | undefined;

/** The order of one epoch; the last one asked for is kept, since every batch of an epoch needs it. */
function epochOrder(length: number, seed: number, epoch: number): Uint32Array {
  const key = `${length} ${seed} ${epoch}`;
  if (cached?.key !== key) {
    const order = Uint32Array.from({ length }, (_, i) => i);
    cached = { key, order: createRandom(seed, `latents of epoch ${epoch}`).shuffle(order) };
  }
  return cached.order;
}
