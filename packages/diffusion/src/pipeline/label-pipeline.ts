/**
 * Labels to pictures: a denoiser, its sampler, and the autoencoder that decodes. Where they come from depends on the platform
 * (`fromPretrained` in class-conditional-pipeline.node.ts and .browser.ts); this file runs anywhere.
 */
import { ConfigError, type Engine, type Image, tensorToImages } from "@dcae/core";
import type { Weights } from "@dcae/core/checkpoint";
import type { Tensor } from "@dcae/core/graph";
import { type Autoencoder, checkOptions, type LatentScale, type OptionNames, unscaleLatent } from "@dcae/core/internal";
import { familyOf, type ModelDescription } from "@dcae/core/models";
import { closeAll, failClosed } from "@dcae/core/runtime";
import { findLabel, labelsInWords } from "../denoisers/denoiser-config.js";
import type { DenoiserDescription } from "./denoiser-checkpoint.js";
import { bundledAutoencoder, type OpenedDenoiser } from "./opened-denoiser.js";
import {
  type LoadedDenoiser,
  loadDenoiser,
  SAMPLE_OPTIONS,
  type SampleOptions,
  sampleLatents,
} from "./sample-latents.js";

/** What the pipeline needs of an autoencoder. */
export type Decoder = Pick<Autoencoder, "name" | "decode" | "dispose"> & {
  readonly weights?: Weights;
  /** Without it nobody can say before decoding how many channels it takes. */
  readonly description?: ModelDescription;
};

/**
 * Before hours of work: whether an autoencoder decodes latents of that many channels.
 *
 * @param whose for the error: what has them
 * @throws ConfigError where it can't
 */
export function checkDecodes({ name, description }: Decoder, channels: number, whose: string): void {
  if (description === undefined) return;
  const { latentChannels: all } = description.config;
  const { decoder: isAdaptive } = familyOf(description).isAdaptive(description.config);
  if (isAdaptive ? channels <= all : channels === all) return;
  throw new ConfigError(`autoencoder ${name}: takes ${all} latent channels, but ${whose} has ${channels}`, {
    hint: isAdaptive ? "Take the one that made them." : "Only adaptive autoencoders decode fewer channels.",
  });
}

/** What a pipeline's scale of latents is, instead of what the checkpoint says. */
export interface PipelineScale {
  /** Instead of the published factor. */
  readonly scalingFactor?: number | undefined;
  /** Instead of what the checkpoint says was subtracted from latents. */
  readonly shiftFactor?: number | undefined;
}

/** Options of `generate`: labels, and how to sample. */
export interface GenerateOptions extends SampleOptions {
  /** One class per picture: numbers, names where the model has them, or "null" for none. */
  readonly labels: readonly (number | string)[];
}

const GENERATE_OPTIONS: OptionNames<GenerateOptions> = { ...SAMPLE_OPTIONS, labels: true };

export interface PipelineParts {
  /** For messages. */
  readonly name: string;
  readonly description: DenoiserDescription;
  /** Under official names. */
  readonly weights: Weights;
  readonly engine: Engine;
  /** Null where only latents are wanted. */
  readonly decoder: Decoder | null;
  readonly scalingFactor: number | null;
  /** Subtracted from latents before scaling (default: what the description says). */
  readonly shiftFactor?: number | undefined;
}

/** Dispose it when done: it owns engines, weights and the autoencoder. */
export class LabelPipeline {
  readonly name: string;
  readonly description: DenoiserDescription;
  readonly #parts: PipelineParts;
  readonly #denoiser: LoadedDenoiser;

  constructor(parts: PipelineParts) {
    this.name = parts.name;
    this.description = parts.description;
    this.#parts = parts;
    this.#denoiser = loadDenoiser(parts.engine, parts.weights, parts.description.config);
  }

  /** Of the denoiser, under official names. They are closed with the pipeline. */
  get weights(): Weights {
    return this.#parts.weights;
  }

  /** What decodes; null where only latents are wanted. */
  get decoder(): Decoder | null {
    return this.#parts.decoder;
  }

  /** The scale that it works in, as its autoencoder's latents get to it. */
  get latentScale(): LatentScale {
    const { scalingFactor, shiftFactor = this.description.shiftFactor } = this.#parts;
    return { factor: scalingFactor, shift: shiftFactor };
  }

  /**
   * Samples latents, in the scale of diffusion models.
   *
   * @returns float32 [N, C, S, S], of adaptive models with `latentChannels` [N, latentChannels, S, S]
   */
  async sampleLatents(options: GenerateOptions): Promise<Tensor<"float32">> {
    checkOptions("sampleLatents", options, GENERATE_OPTIONS);
    const labels = options.labels.map((label) => this.#labelNumber(label));
    return sampleLatents(this.#denoiser.forward, this.description, labels, options);
  }

  /**
   * Latents of this model's scale to pictures [N, 3, H, W], nominally in [-1, 1].
   *
   * @param latents [N, C, S, S]; adaptive autoencoders take fewer channels
   * @param decoder another autoencoder of the same latents, to compare what several make of one set of samples; it stays the caller's
   * @throws ConfigError when there is no autoencoder or no scaling factor
   */
  async decode(latents: Tensor, decoder: Decoder | null = this.#parts.decoder): Promise<Tensor> {
    if (decoder === null) throw new ConfigError(`${this.name}: was loaded without an autoencoder`);
    return decoder.decode(unscaleLatent(latents, this.latentScale, this.name));
  }

  /** Samples pictures. */
  async generate(options: GenerateOptions): Promise<{ readonly images: Image[]; readonly latents: Tensor<"float32"> }> {
    const { decoder } = this.#parts;
    const channels = options.latentChannels ?? this.description.config.inChannels;
    if (decoder !== null) checkDecodes(decoder, channels, this.name);
    const latents = await this.sampleLatents(options);
    const images: Image[] = [];
    // Decoding one by one bounds the memory: a 512 px picture's activations are far larger than its latent.
    for (let i = 0; i < options.labels.length; i++) {
      images.push(...tensorToImages(await this.decode(latents.slice([{ start: i, stop: i + 1 }]))));
    }
    return { images, latents };
  }

  /**
   * One raw forward pass, in the scale that the network works in: channels are normalized where `description.channels` says so.
   *
   * @param x noisy latents [B, C, S, S]
   * @param t model times [B]
   * @param labels int32 [B] (the null class is the last one); undefined for a model without classes
   * @returns [B, C, S, S], or [B, 2C, S, S] with a learned variance
   */
  denoise(x: Tensor, t: Tensor, labels?: Tensor): Promise<Tensor> {
    return this.#denoiser.forward(x.cast("float32"), t.cast("float32"), labels?.cast("int32"));
  }

  async dispose(): Promise<void> {
    const { engine, decoder, weights } = this.#parts;
    await closeAll([
      () => this.#denoiser.dispose(),
      () => engine.dispose(),
      () => decoder?.dispose(),
      () => weights.close(),
    ]);
  }

  #labelNumber(label: number | string): number {
    const { classes, config } = this.description;
    const number = findLabel(config, classes, label);
    if (number !== undefined) return number;
    throw new ConfigError(`label ${JSON.stringify(label)} isn't a class of ${this.name}`, {
      hint:
        config.numClasses === 0 ? "The model has no classes: give 0 for each picture." : labelsInWords(config, classes),
    });
  }
}

/** What differs by platform when a pipeline is loaded. */
export interface PipelinePlatform<Source> {
  /** For the denoiser. */
  createEngine(): Promise<Engine>;
  /** For an autoencoder that the denoiser's file brings along. */
  createDecoderEngine(): Promise<Engine>;
  loadAutoencoder(source: Source | string): Promise<Decoder>;
}

/**
 * The parts of a pipeline whose denoiser is open. Closes what was opened when anything fails.
 *
 * @param autoencoder what `loadAutoencoder` is to load; undefined: what the checkpoint has or names; null: none
 * @throws ConfigError when no autoencoder is known
 */
export async function loadPipelineParts<Source = string>(
  name: string,
  { description, weights, autoencoderWeights }: OpenedDenoiser,
  autoencoder: Source | string | null | undefined,
  scale: PipelineScale,
  platform: PipelinePlatform<Source>,
): Promise<PipelineParts> {
  const { scalingFactor = description.scalingFactor, shiftFactor } = scale;
  const loadDecoder = async (): Promise<Decoder | null> => {
    if (autoencoder === null) return null;
    if (autoencoder !== undefined) return platform.loadAutoencoder(autoencoder);
    if (autoencoderWeights !== undefined)
      return bundledAutoencoder(description, autoencoderWeights, platform.createDecoderEngine);
    if (description.autoencoder !== null) return platform.loadAutoencoder(description.autoencoder);
    throw new ConfigError("the checkpoint doesn't say which autoencoder its latents are of", {
      hint: "Pass autoencoder: a repository, a folder or a file.",
    });
  };
  let engine: Engine | undefined;
  try {
    engine = await platform.createEngine();
    const decoder = await loadDecoder();
    return { name, description, weights, engine, decoder, scalingFactor, shiftFactor };
  } catch (error) {
    return failClosed(error, [() => engine?.dispose(), () => weights.close()]);
  }
}
