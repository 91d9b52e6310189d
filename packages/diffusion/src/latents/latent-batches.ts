/**
 * Which latents make up which batch (diffusion.md section 13): shuffled per epoch, one contiguous slice per process, the
 * incomplete last batch dropped. The order follows from seed and epoch alone, so a resumed run goes on where it stopped.
 */
import { ConfigError } from "@dcae/core";
import { createRandom } from "@dcae/core/graph";

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
