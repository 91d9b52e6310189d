/**
 * How a diffusion model in training does: the loss on the same latents, noise and times at every evaluation, and samples. Where
 * averages are kept, they are what is evaluated.
 */
import { type Image, tensorToImages } from "@dcae/core";
import type { Weights } from "@dcae/core/checkpoint";
import { createProgram, createScope } from "@dcae/core/graph";
import { makeGrid } from "@dcae/core/image";
import { unscaleLatent } from "@dcae/core/internal";
import type { Engine, EngineState } from "@dcae/core/runtime";
import type { DenoiserDescription, LatentDataset, Objective, SampleOptions } from "@dcae/diffusion";
import {
  buildDenoiseProgram,
  chooseLabels,
  createDenoiser,
  type Decoder,
  diffusionInputs,
  diffusionLoss,
  sampleLatents,
} from "@dcae/diffusion/internal";
import { CHANNEL_MASK, channelMask } from "../data/channel-counts.js";
import { averagedScope, withAverageNames } from "../step/averages.js";
import type { Evaluate } from "../trainer/fit.js";
import type { SetMetrics } from "../trainer/set-metrics.js";
import type { DiffusionConfig } from "./diffusion-config.js";
import { drawEach } from "./training-latents.js";

export interface DenoiserEvaluation {
  readonly engine: Engine;
  readonly training: DiffusionConfig;
  readonly description: DenoiserDescription;
  readonly objective: Objective;
  /** Latents to evaluate on. */
  readonly latents: LatentDataset;
  /** Undefined: no pictures. */
  readonly decoder: Decoder | undefined;
  /** Distances of samples. */
  readonly setMetrics?: SetMetrics | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Samples of distances that are made together; some samplers couple those of a batch. */
const SAMPLED_AT_ONCE = 8;
/** Classes that a sheet of samples shows. */
const SHOWN_CLASSES = 12;
/** Far from the numbers of training batches, so that evaluation draws other noise: 2^40. */
const EVALUATION_DRAWS = 2 ** 40;

export function denoiserEvaluation(options: DenoiserEvaluation): Evaluate {
  return async (state, weights) => {
    const losses = await evaluateLosses(options, state, weights);
    const { loss } = losses;
    if (!Number.isFinite(loss)) return { metrics: losses, score: loss };
    try {
      const { sheet, distances } = await evaluateSamples(options, state, weights);
      const pictures = sheet === undefined ? {} : { pictures: { samples: sheet } };
      return { metrics: { ...losses, ...distances }, score: loss, ...pictures };
    } catch (error) {
      // Whoever stops a run wants it saved first; samples are drawn when it goes on.
      if (options.signal?.aborted === true) return undefined;
      throw error;
    }
  };
}

/** `loss` with all channels, which is what samples are drawn with, and `loss_c<count>` for each smaller count that trains. */
type Losses = { readonly loss: number } & Readonly<Record<string, number>>;

/** Mean losses over `evaluateOn` latents, spread over the data: each counts once, in batches of any size. */
async function evaluateLosses(options: DenoiserEvaluation, state: EngineState, weights: Weights): Promise<Losses> {
  const { training, latents } = options;
  const count = Math.min(training.evaluateOn, latents.length);
  const indices = Array.from({ length: count }, (_, i) => Math.floor((i * latents.length) / count));
  const whole = count - (count % training.batch);
  const parts = [indices.slice(0, whole), indices.slice(whole)].filter((part) => part.length > 0);
  const sums: Record<string, number> & { loss: number } = { loss: 0 };
  for (const part of parts) {
    for (const [name, sum] of Object.entries(await summedLosses(options, part, state, weights))) {
      sums[name] = (sums[name] ?? 0) + sum / count;
    }
  }
  return sums;
}

/** What an evaluation of a count of channels adds to the inputs of the loss, by the name of its metric. */
function evaluatedMasks({ training: { channels }, description: { config } }: DenoiserEvaluation) {
  if (channels === null) return { loss: {} };
  const all = config.inChannels;
  const counts = channels.counts.filter((count) => count < all);
  const named = [["loss", all] as const, ...counts.map((count) => [`loss_c${count}`, count] as const)];
  return Object.fromEntries(named.map(([name, count]) => [name, { [CHANNEL_MASK]: channelMask(count, all) }]));
}

/** The sums of the losses of latents `indices`: whole batches, or a single smaller one. */
async function summedLosses(
  options: DenoiserEvaluation,
  indices: readonly number[],
  state: EngineState,
  weights: Weights,
): Promise<Record<string, number>> {
  const { engine, training, description, objective, latents } = options;
  const { config } = description;
  const { seed, ema, channels } = training;
  const batch = Math.min(training.batch, indices.length);
  const scope = averagedScope(createScope(), ema);
  const { loss } = diffusionLoss(
    scope,
    config,
    objective,
    diffusionInputs(config, objective, batch, channels !== null),
  );
  const program = createProgram("evaluate", { loss });
  const loaded = await engine.load(program, withAverageNames(program, weights, ema), { state });
  const masks = Object.entries(evaluatedMasks(options));
  try {
    const sums: Record<string, number> = {};
    for (let start = 0; start < indices.length; start += batch) {
      const inputs = await drawEach(
        { latents, config, objective, seed },
        EVALUATION_DRAWS,
        indices.slice(start, start + batch),
      );
      for (const [name, mask] of masks) {
        const { loss: mean } = await loaded.run({ ...inputs, ...mask });
        sums[name] = (sums[name] ?? 0) + Number(mean?.at()) * batch;
      }
    }
    return sums;
  } finally {
    await loaded.dispose();
  }
}

/** What samples show: a sheet, and distances of many; from the same noise at every evaluation. */
async function evaluateSamples(
  options: DenoiserEvaluation,
  state: EngineState,
  weights: Weights,
): Promise<{ readonly sheet?: Image; readonly distances?: Readonly<Record<string, number>> }> {
  const { engine, training, description, decoder, setMetrics } = options;
  const { samples, ema, evaluateSamples: count } = training;
  const { config, scalingFactor, shiftFactor } = description;
  if (samples === null || decoder === undefined || scalingFactor === null) return {};
  const denoiser = createDenoiser(config, (batch, channels) => {
    const program = buildDenoiseProgram(config, batch, channels, averagedScope(createScope(), ema));
    return engine.load(program, withAverageNames(program, weights, ema), { state });
  });
  /** Pictures of labels, decoded one by one. */
  async function* draw(labels: readonly number[], offset = 0): AsyncGenerator<Image> {
    const latents = await sampleLatents(denoiser.forward, description, labels, { ...samplingOf(options), offset });
    const scale = { factor: scalingFactor, shift: shiftFactor };
    for (let i = 0; i < labels.length; i++) {
      const latent = latents.slice([{ start: i, stop: i + 1 }]);
      yield* tensorToImages(await (decoder as Decoder).decode(unscaleLatent(latent, scale, (decoder as Decoder).name)));
    }
  }
  try {
    const labels = shownLabels(description, samples).flatMap((label) =>
      Array.from({ length: samples.perLabel }, () => label),
    );
    const images: Image[] = [];
    for await (const image of draw(labels)) images.push(image);
    const sheet = makeGrid(images, { columns: samples.perLabel });
    if (setMetrics === undefined) return { sheet };
    const made = setMetrics.collect();
    for (let first = 0; first < count; first += SAMPLED_AT_ONCE) {
      const numbers = Array.from({ length: Math.min(SAMPLED_AT_ONCE, count - first) }, (_, i) => first + i);
      const classes = numbers.map((number) => (config.numClasses === 0 ? 0 : number % config.numClasses));
      const part: Image[] = [];
      for await (const image of draw(classes, first)) part.push(image);
      await made.add(part);
    }
    return { sheet, distances: await setMetrics.compare(made) };
  } finally {
    await denoiser.dispose();
  }
}

function samplingOf({ training: { samples }, signal }: DenoiserEvaluation): SampleOptions {
  const { guidance, sampler, steps, seed } = samples as NonNullable<DiffusionConfig["samples"]>;
  return { guidance, sampler: sampler ?? undefined, steps: steps ?? undefined, seed, signal };
}

function shownLabels(description: DenoiserDescription, samples: NonNullable<DiffusionConfig["samples"]>): number[] {
  const { numClasses } = description.config;
  if (numClasses === 0) return Array.from({ length: SHOWN_CLASSES }, () => 0);
  if (samples.labels !== null)
    return chooseLabels(description, samples.labels.map(String), "samples.labels").map(({ label }) => label);
  return Array.from({ length: Math.min(numClasses, SHOWN_CLASSES) }, (_, i) => i);
}
