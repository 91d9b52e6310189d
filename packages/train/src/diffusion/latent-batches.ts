/**
 * Batches of a diffusion training: latents, labels with dropout, noise and times. All randomness follows from the seed and the
 * number of the batch, so that a resumed run goes on with the same numbers.
 */
import { Tensor } from "@dcae/core";
import { type DenoiserConfig, drawObjective, type LatentDataset, type Objective } from "@dcae/diffusion";
import { batchIndices, dropLabels, stepRandom } from "@dcae/diffusion/internal";
import type { TrainingBatch, TrainingBatches } from "../trainer/fit.js";

export interface LatentBatchOptions {
  readonly latents: LatentDataset;
  readonly config: DenoiserConfig;
  readonly objective: Objective;
  readonly batch: number;
  readonly seed: number;
}

/**
 * The inputs of batch `number` for the objective's loss.
 *
 * @param indices which latents, by default those whose turn it is
 */
export async function drawBatch(
  { latents, config, objective, batch, seed }: LatentBatchOptions,
  number: number,
  indices: ArrayLike<number> = batchIndices(latents.length, { batchSize: batch, seed }, number),
): Promise<Record<string, Tensor>> {
  const { latents: values, labels } = await latents.read(indices);
  const random = stepRandom(seed, number);
  return {
    latents: values,
    ...(config.numClasses === 0 ? {} : { labels: dropLabels(labels.data, config, random) }),
    ...drawObjective(objective, random, values.shape),
  };
}

/**
 * The inputs of latents `indices`, each with noise and a time that are its own whichever batch it is in. No label is dropped.
 *
 * @param first number of the draws of latent 0, far from the numbers of batches
 */
export async function drawEach(
  { latents, config, objective, seed }: Omit<LatentBatchOptions, "batch">,
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
    images: options.batch,
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
