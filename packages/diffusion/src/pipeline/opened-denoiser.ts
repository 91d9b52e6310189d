/** What an open checkpoint of a denoiser holds, wherever its files come from, and which models have names. */
import { ConfigError, type Engine, getPreset } from "@dcae/core";
import { checkWeights, type OpenedModel, type Weights } from "@dcae/core/checkpoint";
import { Autoencoder, didYouMean } from "@dcae/core/internal";
import { describePreset, modelParameters } from "@dcae/core/models";
import { failClosed } from "@dcae/core/runtime";
import { findPublishedDenoiser, PUBLISHED_DENOISERS } from "../denoisers/presets.js";
import {
  checkDenoiserWeights,
  type DenoiserDescription,
  denoiserWeights,
  inferDenoiser,
  parseDenoiserConfig,
  weightsBelow,
} from "./denoiser-checkpoint.js";

/**
 * The small diffusion models that the package carries, by what they are called wherever a diffusion model can be named: USiT (UViT with
 * the flow objective) on latents of `small-f32` of @dcae/core, twelve classes of drawn scenes at 128x128 and at 256x256, trained by
 * this project (recipes of the same names).
 */
export const BUNDLED_DENOISERS = ["usit-scenes", "usit-scenes-256"] as const;

/** One of them. */
export type BundledDenoiser = (typeof BUNDLED_DENOISERS)[number];

/** Whether a name is that of a model that the package carries. */
export function isBundledDenoiser(name: string): name is BundledDenoiser {
  return BUNDLED_DENOISERS.some((bundled) => bundled === name);
}

/**
 * The repository of a published diffusion model that has a name of one word.
 *
 * @throws ConfigError for words that are none
 */
export function denoiserRepository(word: string): string {
  const published = findPublishedDenoiser(word);
  if (published !== undefined) return published.hubId;
  const names = PUBLISHED_DENOISERS.map(({ name }) => name);
  throw new ConfigError(
    `not the name of a published diffusion model${didYouMean(word, [...BUNDLED_DENOISERS, ...names])}`,
    {
      hint: `Published: ${names.join(", ")}. With dcae come ${BUNDLED_DENOISERS.map((name) => `"${name}"`).join(" and ")}.`,
    },
  );
}

export interface DenoiserConfigOption {
  /**
   * The configuration, instead of what the checkpoint says: an object as in config.json, with official constructor arguments
   * (`{ arch: "uvit", model: { ... } }`) or a published name (`{ model_name: "..." }`).
   */
  readonly denoiser?: Readonly<Record<string, unknown>> | undefined;
}

/** A denoiser's files, opened: description and weights. */
export interface OpenedDenoiser {
  readonly description: DenoiserDescription;
  /** Of the denoiser, under official names. Close them when done. */
  readonly weights: Weights;
  /** Of the autoencoder, where the file holds it. They are closed with `weights`. */
  readonly autoencoderWeights: Weights | undefined;
}

const AUTOENCODER_PREFIX = "autoencoder.";

/** An open checkpoint; without a `config` where there is none. */
export type OpenedCheckpoint = Pick<OpenedModel, "weights"> & Partial<Pick<OpenedModel, "config" | "configSource">>;

/**
 * What an open checkpoint holds. It is closed when that can't be told.
 *
 * @param source for messages
 * @param located the description with the path of its autoencoder as the platform understands it
 */
export async function readDenoiser(
  { weights, config, configSource }: OpenedCheckpoint,
  source: string,
  { denoiser }: DenoiserConfigOption,
  located: (description: DenoiserDescription) => DenoiserDescription,
): Promise<OpenedDenoiser> {
  try {
    const own = denoiserWeights(weights);
    const description =
      denoiser !== undefined
        ? parseDenoiserConfig(denoiser, "denoiser")
        : config !== undefined
          ? located(parseDenoiserConfig(config, configSource ?? source))
          : { ...inferDenoiser(own), autoencoder: null, scalingFactor: null, shiftFactor: 0, classes: null };
    const autoencoderWeights = weightsBelow(weights, AUTOENCODER_PREFIX);
    return {
      description,
      weights: checkDenoiserWeights(own, description),
      autoencoderWeights: autoencoderWeights.entries.size === 0 ? undefined : autoencoderWeights,
    };
  } catch (error) {
    return failClosed(error, [() => weights.close()]);
  }
}

/**
 * The autoencoder that a denoiser's file brings along.
 *
 * @throws CheckpointError when the weights aren't those of the preset
 */
export async function bundledAutoencoder(
  { autoencoder, scalingFactor, shiftFactor }: DenoiserDescription,
  weights: Weights,
  createEngine: () => Promise<Engine>,
): Promise<Autoencoder> {
  const preset = getPreset(autoencoder ?? "");
  const plan = modelParameters(preset).map((spec) => ({ spec, pieces: [{ name: spec.name, shape: spec.shape }] }));
  checkWeights(plan, weights, { model: preset.name });
  return new Autoencoder({
    name: preset.name,
    description: { ...describePreset(preset), scalingFactor, shiftFactor },
    weights,
    engine: await createEngine(),
  });
}
