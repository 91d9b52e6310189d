/**
 * Labels and seeded noise to latents, with any forward pass: that of a loaded model, or of one in training.
 */
import { ConfigError } from "@dcae/core";
import { createRandom, sizeOf, Tensor } from "@dcae/core/graph";
import type { TrainScheduler } from "../denoisers/denoiser-config.js";
import type { ParsedDenoiser } from "../denoisers/official-config.js";
import { latentShape } from "../denoisers/presets.js";
import { type ForwardPass, guidedModel } from "../samplers/guidance.js";
import type { SamplerStep } from "../samplers/sampler.js";
import { chooseSampler, type SamplerName } from "./sampler-choice.js";

export interface SampleOptions {
  /** Guidance scale of at least 0; 1 (default) means none. */
  readonly guidance?: number;
  /** Output channels that are guided, and model times in which guidance acts (default: what the model's config says). */
  readonly guidanceChannels?: number;
  readonly guidanceInterval?: readonly [low: number, high: number];
  /** By default the sampler that the model was published with. */
  readonly sampler?: SamplerName | undefined;
  /** See `chooseSampler` (default: the sampler's). */
  readonly steps?: number | undefined;
  /** Picture i gets its noise from (seed, i), whatever the batches are (default 0). */
  readonly seed?: number | bigint;
  /** The i of the first label, where these are a part of a longer series (default 0). */
  readonly offset?: number;
  /** Pictures at once (default 8; guidance doubles what the denoiser sees). dopri5 couples the pictures of a batch. */
  readonly batchSize?: number;
  /** Called after every step of a batch that begins with picture `first`. */
  readonly onStep?: (step: SamplerStep, first: number) => void | Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Samples latents, in the scale that the denoiser works in.
 *
 * @param labels one class per latent (the null class too); their number alone counts for models without classes
 * @returns float32 [N, C, S, S]
 * @throws ConfigError for labels that aren't classes, samplers that don't fit, and guidance without a null class
 */
export async function sampleLatents(
  forward: ForwardPass,
  { config, recipe }: ParsedDenoiser,
  labels: readonly number[],
  options: SampleOptions = {},
): Promise<Tensor<"float32">> {
  const { guidance = 1, sampler, steps, seed = 0, offset = 0, batchSize = 8, onStep, signal } = options;
  if (!(Number.isInteger(batchSize) && batchSize >= 1)) {
    throw new ConfigError(`batchSize: ${batchSize} isn't a positive integer`);
  }
  if (!(Number.isSafeInteger(offset) && offset >= 0)) {
    throw new ConfigError(`offset: ${offset} isn't an integer of at least 0`);
  }
  const { sample, variance } = chooseSampler(recipe, sampler, steps);
  const channels = options.guidanceChannels ?? recipe.cfgChannels;
  const interval = options.guidanceInterval ?? recipe.guidanceInterval;
  checkGuidance({ config, recipe }, channels, interval);
  const shape = latentShape(config, labels.length);
  const size = sizeOf(shape.slice(1));
  const out = new Float32Array(labels.length * size);
  for (let first = 0; first < labels.length; first += batchSize) {
    const part = labels.slice(first, first + batchSize);
    const randoms = part.map((_, i) => createRandom(seed, `sample ${offset + first + i}`));
    // Every picture draws from its own stream, so that batches don't change it.
    const drawNoise = (total: number) => {
      const noise = new Float32Array(total);
      for (const [i, random] of randoms.entries()) random.normal(noise.subarray(i * size, (i + 1) * size));
      return noise;
    };
    const noise = Tensor.float32(drawNoise(part.length * size), latentShape(config, part.length));
    const model = guidedModel(forward, config, config.numClasses === 0 ? undefined : part, {
      scale: guidance,
      channels,
      interval,
      keepVariance: variance,
    });
    const report = onStep === undefined ? undefined : (step: SamplerStep) => onStep(step, first);
    out.set((await sample(model, noise, { drawNoise, onStep: report, signal })).toFloat32(), first * size);
  }
  return Tensor.float32(out, shape);
}

/** The end of the times that models see, by what they are trained on; all begin at 0. */
const LAST_TIME: Readonly<Record<TrainScheduler, 1 | 1000>> = {
  DPM_Solver: 1000,
  GaussianDiffusion: 1000,
  SiTSampler: 1,
  SanaScheduler: 1000,
  UniTrainScheduler: 1,
};

/** @throws ConfigError for channels that the model doesn't have, and times that it never sees */
function checkGuidance(
  { config, recipe }: ParsedDenoiser,
  channels: number | null,
  interval: readonly [low: number, high: number] | null,
): void {
  if (channels !== null && !(Number.isInteger(channels) && channels >= 1 && channels <= config.inChannels)) {
    throw new ConfigError(`guidance: ${channels} channels are to be guided, but the model has ${config.inChannels}`);
  }
  const last = LAST_TIME[recipe.trainScheduler];
  if (interval !== null && !(interval[0] <= interval[1])) {
    throw new ConfigError(`guidance: ${interval[0]} to ${interval[1]} is no interval of times`, {
      hint: "Give two numbers in ascending order.",
    });
  }
  if (interval !== null && !(interval[0] <= last && interval[1] >= 0)) {
    throw new ConfigError(`guidance: no time of the model lies between ${interval[0]} and ${interval[1]}`, {
      hint: `Its times are those from 0 to ${last}.`,
    });
  }
}
