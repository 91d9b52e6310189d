/**
 * Labels and seeded noise to latents, from top to bottom: the loop over batches, guidance, and the forward pass of a denoiser that is
 * loaded, or one in training.
 */
import { ConfigError, ShapeError } from "@dcae/core";
import type { Weights } from "@dcae/core/checkpoint";
import { createRandom, sizeOf, Tensor } from "@dcae/core/graph";
import { createLoadedCache, type OptionNames } from "@dcae/core/internal";
import type { Engine, LoadedProgram } from "@dcae/core/runtime";
import { buildDenoiseProgram } from "../denoisers/denoise.js";
import { type DenoiserConfig, labelRows, nullLabel, type TrainScheduler } from "../denoisers/denoiser-config.js";
import type { ParsedDenoiser } from "../denoisers/official-config.js";
import { latentShape } from "../denoisers/presets.js";
import { fromChannelScale } from "../latents/channel-scale.js";
import type { Model, SamplerStep } from "../samplers/sampler.js";
import type { DenoiserDescription } from "./denoiser-checkpoint.js";
import { chooseSampler, type SamplerName } from "./sampler-choice.js";

/** How to sample: guidance, sampler, steps, seed. */
export interface SampleOptions {
  /** Guidance scale of at least 0; 1 (default) means none. */
  readonly guidance?: number;
  /** Output channels that are guided, and model times in which guidance acts (default: what the model's config says). */
  readonly guidanceChannels?: number;
  readonly guidanceInterval?: readonly [low: number, high: number];
  /** Adaptive models: only the first channels of latents, from the first channels of the same noise (default: all). */
  readonly latentChannels?: number | undefined;
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

export const SAMPLE_OPTIONS: OptionNames<SampleOptions> = {
  guidance: true,
  guidanceChannels: true,
  guidanceInterval: true,
  latentChannels: true,
  sampler: true,
  steps: true,
  seed: true,
  offset: true,
  batchSize: true,
  onStep: true,
  signal: true,
};

/**
 * Samples latents in the scale of diffusion models, `(z - shiftFactor) * scalingFactor`. What `onStep` sees is what the denoiser
 * sees, whose channels may be normalized.
 *
 * @param labels one class per latent (the null class too); their number alone counts for models without classes
 * @returns float32 [N, C, S, S], or [N, latentChannels, S, S]
 * @throws ConfigError for labels that aren't classes, channels that the model can't do without, samplers that don't fit, and guidance without a null class
 */
export async function sampleLatents(
  forward: ForwardPass,
  { config, recipe, channels: channelScale }: ParsedDenoiser & Pick<DenoiserDescription, "channels">,
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
  const count = chooseChannels(config, options.latentChannels);
  const published = recipe.cfgChannels === null ? null : Math.min(recipe.cfgChannels, count);
  const channels = options.guidanceChannels ?? published;
  const interval = options.guidanceInterval ?? recipe.guidanceInterval;
  checkGuidance({ config, recipe }, count, channels, interval);
  const shapeOf = (batch: number) => [batch, count, ...latentShape(config, batch).slice(2)];
  const shape = shapeOf(labels.length);
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
    const noise = Tensor.float32(drawNoise(part.length * size), shapeOf(part.length));
    const model = guidedModel(forward, config, config.numClasses === 0 ? undefined : part, {
      scale: guidance,
      channels,
      interval,
      keepVariance: variance,
    });
    const report = onStep === undefined ? undefined : (step: SamplerStep) => onStep(step, first);
    out.set((await sample(model, noise, { drawNoise, onStep: report, signal })).toFloat32(), first * size);
  }
  const latents = Tensor.float32(out, shape);
  return channelScale === undefined ? latents : fromChannelScale(latents, channelScale);
}

/** The end of the times that models see, by what they are trained on; all begin at 0. */
export const LAST_TIME: Readonly<Record<TrainScheduler, 1 | 1000>> = {
  DPM_Solver: 1000,
  GaussianDiffusion: 1000,
  SiTSampler: 1,
  SanaScheduler: 1000,
  UniTrainScheduler: 1,
};

/** How many channels are sampled. @throws ConfigError for those that the model doesn't have or can't do without */
function chooseChannels({ adaptiveChannel, inChannels }: DenoiserConfig, wanted = inChannels): number {
  if (wanted !== inChannels && !adaptiveChannel) {
    throw new ConfigError(`latentChannels: the model isn't adaptive, it samples all of its ${inChannels} channels`, {
      hint: "Leave it out.",
    });
  }
  if (Number.isInteger(wanted) && wanted >= 1 && wanted <= inChannels) return wanted;
  throw new ConfigError(`latentChannels: ${wanted} isn't an integer from 1 to ${inChannels}`);
}

/** @throws ConfigError for channels that aren't sampled, and times that the model never sees */
function checkGuidance(
  { config, recipe }: ParsedDenoiser,
  count: number,
  channels: number | null,
  interval: readonly [low: number, high: number] | null,
): void {
  if (channels !== null && !(Number.isInteger(channels) && channels >= 1 && channels <= count)) {
    const there = count === config.inChannels ? `the model has ${count}` : `only ${count} are sampled`;
    throw new ConfigError(`guidance: ${channels} channels are to be guided, but ${there}`);
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

// Classifier-free guidance (Ho and Salimans, 2022; diffusion.md section 10): the prediction with labels is pushed away from the
// one without, out = uncond + scale * (cond - uncond).
//
// Both come from one doubled batch, [cond; uncond]. Only the first channels are guided; the others (the learned variance) stay
// as each half has them. A scale of 1 means no guidance, and a single pass.

export interface GuidanceOptions {
  /** Default 1: none. */
  readonly scale?: number | undefined;
  /** How many of the first output channels are guided (default: all latent channels). */
  readonly channels?: number | null | undefined;
  /** Model times in which guidance acts (default: always). */
  readonly interval?: readonly [low: number, high: number] | null | undefined;
  /** Keep the channels of a learned variance in the output (default true). Samplers that don't know them need false. */
  readonly keepVariance?: boolean;
}

/**
 * The guided output of a doubled batch, for both halves.
 *
 * @param output [2B, C, S, S], the second half without labels
 */
export function guideHalves(output: Tensor, scale: number, channels: number): Tensor<"float32"> {
  const [doubled, all] = output.shape as readonly [number, number, number, number];
  const plane = sizeOf(output.shape.slice(2));
  const half = (doubled / 2) * all * plane;
  const values = output.toFloat32().slice();
  for (let i = 0; i < half; i++) {
    if (Math.floor(i / plane) % all >= channels) continue;
    const [cond, uncond] = [values[i] as number, values[half + i] as number];
    values[i] = uncond + scale * (cond - uncond);
    values[half + i] = values[i] as number;
  }
  return Tensor.float32(values, output.shape);
}

/** The first `channels` channels of x [B, C, S, S]. */
function firstChannels(x: Tensor, channels: number): Tensor {
  return channels === x.shape[1] ? x : x.slice([undefined, { stop: channels }]);
}

function twice(x: Tensor): Tensor {
  const values = x.toFloat32();
  const doubled = new Float32Array(2 * values.length);
  doubled.set(values);
  doubled.set(values, values.length);
  return Tensor.float32(doubled, [2 * (x.shape[0] as number), ...x.shape.slice(1)]);
}

function int32(values: readonly number[]): Tensor {
  return new Tensor("int32", Int32Array.from(values), [values.length]);
}

/**
 * A model for samplers from a denoiser, labels and guidance.
 *
 * @param labels one class per state; undefined for a model without classes
 * @throws ConfigError when guidance is asked of a model without a null class, or a label isn't a class
 */
export function guidedModel(
  forward: ForwardPass,
  config: DenoiserConfig,
  labels: readonly number[] | undefined,
  options: GuidanceOptions = {},
): Model {
  const { scale = 1, interval = null, keepVariance = true } = options;
  const none = nullLabel(config);
  checkClasses(config, labels);
  if (!(Number.isFinite(scale) && scale >= 0)) {
    throw new ConfigError(`guidance: the scale is ${scale}, but must be a number of at least 0`, {
      hint: "1 means no guidance, 0 no classes, and more than 1 pulls towards the class.",
    });
  }
  if (scale !== 1 && none === undefined) {
    throw new ConfigError("guidance: this model has no null class to guide away from", { hint: "Use a scale of 1." });
  }
  return async (x, t) => {
    const [batch, channels] = x.shape as readonly [number, number, number, number];
    const outside = interval !== null && (t < interval[0] || t > interval[1]);
    const times = (count: number) => Tensor.float32(new Float32Array(count).fill(t));
    const select = (output: Tensor) => (keepVariance ? output : firstChannels(output, channels));
    if (scale === 1 || outside || none === undefined || labels === undefined) {
      return select(await forward(x, times(batch), labels && int32(labels)));
    }
    const nulls = labels.map(() => none);
    const output = await forward(twice(x), times(2 * batch), int32([...labels, ...nulls]));
    const guided = guideHalves(output, scale, options.channels ?? channels);
    return select(guided.slice([{ stop: batch }]));
  };
}

function checkClasses(config: DenoiserConfig, labels: readonly number[] | undefined): void {
  if ((config.numClasses === 0) !== (labels === undefined)) {
    throw new ConfigError(
      labels === undefined
        ? `labels: the model has ${config.numClasses} classes and needs one per sample`
        : "labels: the model has no classes",
    );
  }
  const last = nullLabel(config) ?? config.numClasses - 1;
  const wrong = labels?.find((label) => !(Number.isInteger(label) && label >= 0 && label <= last));
  if (wrong !== undefined) {
    const none = nullLabel(config) === undefined ? "" : `, and ${last} stands for none`;
    throw new ConfigError(`labels: ${wrong} isn't a class`, {
      hint: `Classes are 0 to ${config.numClasses - 1}${none}.`,
    });
  }
}

// One forward pass of a denoiser on an engine, with a program per batch size and channel count.

/** One forward pass: x [B, C, S, S], t float32 [B], labels int32 [B] (undefined for models without classes). */
export type ForwardPass = (x: Tensor, t: Tensor, labels: Tensor | undefined) => Promise<Tensor>;

/** Programs that stay loaded: guided (twice the batch) and unguided passes alternate under a guidance interval. */
const MAX_PROGRAMS = 2;

export interface LoadedDenoiser {
  readonly forward: ForwardPass;
  /** Frees the programs after the calls that wait. */
  dispose(): Promise<void>;
}

/** @throws ShapeError when x, t and labels have different batch sizes, ConfigError for labels that aren't classes */
export function loadDenoiser(engine: Engine, weights: Weights, config: DenoiserConfig): LoadedDenoiser {
  return createDenoiser(config, (batch, channels) =>
    engine.load(buildDenoiseProgram(config, batch, channels), weights),
  );
}

/**
 * The same with programs of another making, as those that read a state in training.
 *
 * @param load gives the loaded `buildDenoiseProgram` of a batch size and channel count
 */
export function createDenoiser(
  config: DenoiserConfig,
  load: (batch: number, channels: number) => Promise<LoadedProgram>,
): LoadedDenoiser {
  const programs = createLoadedCache<LoadedProgram>({
    name: "the denoiser",
    limit: MAX_PROGRAMS,
    free: (program) => program.dispose(),
  });
  return {
    async forward(x, t, labels) {
      const [batch, channels] = x.shape as readonly [number, number];
      if (t.shape.join() !== String(batch) || (labels !== undefined && labels.shape.join() !== String(batch))) {
        throw new ShapeError(`denoise: x has ${batch} samples, t is [${t.shape}] and labels [${labels?.shape ?? ""}]`);
      }
      checkLabels(labels, config);
      const inputs = { x, t, ...(labels === undefined ? {} : { labels }) };
      const { y } = await programs.use(
        `${batch} ${channels}`,
        () => load(batch, channels),
        (program) => program.run(inputs),
      );
      return y as Tensor;
    },
    dispose: programs.dispose,
  };
}

/** What lies outside of the table of labels would read other memory, or fail without saying why. */
function checkLabels(labels: Tensor | undefined, config: DenoiserConfig): void {
  const rows = labelRows(config);
  if ((rows === 0) !== (labels === undefined)) {
    throw new ConfigError(
      `denoise: the model has ${config.numClasses} classes and ${rows === 0 ? "takes no" : "needs"} labels`,
    );
  }
  const wrong = labels === undefined ? undefined : Array.from(labels.toFloat32()).find((y) => !(y >= 0 && y < rows));
  if (wrong !== undefined) throw new ConfigError(`denoise: the label ${wrong} isn't one of 0 to ${rows - 1}`);
}
