/**
 * Labels to pictures: a denoiser, its sampler, and the autoencoder that decodes.
 */

import {
  ConfigError,
  createEngine,
  type Engine,
  type EngineOptions,
  type Image,
  loadAutoencoder,
  tensorToImages,
} from "@dcae/core";
import type { Weights } from "@dcae/core/checkpoint";
import type { Tensor } from "@dcae/core/graph";
import { type Autoencoder, checkOptions, ENGINE_OPTIONS, type OptionNames, unscaleLatent } from "@dcae/core/internal";
import { chooseForm, closeAll, dtypeOfForm, failClosed } from "@dcae/core/runtime";
import { findLabel, labelsInWords } from "../denoisers/denoiser-config.js";
import type { DenoiserDescription } from "./denoiser-checkpoint.js";
import {
  bundledAutoencoder,
  OPEN_DENOISER_OPTIONS,
  type OpenDenoiserOptions,
  openDenoiser,
} from "./open-denoiser.node.js";
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
};

/** Options of `ClassConditionalPipeline.fromPretrained`. */
export interface PipelineOptions extends OpenDenoiserOptions, EngineOptions {
  /**
   * Repository, folder or file of the autoencoder, or "small-f32", which core brings along; by default the one in the checkpoint, or that its config names. Null: none,
   * latents are all that is wanted.
   */
  readonly autoencoder?: string | null | undefined;
  /** Instead of the published factor. */
  readonly scalingFactor?: number | undefined;
  /** Instead of what the checkpoint says was subtracted from latents. */
  readonly shiftFactor?: number | undefined;
}

const PIPELINE_OPTIONS: OptionNames<PipelineOptions> = {
  ...OPEN_DENOISER_OPTIONS,
  ...ENGINE_OPTIONS,
  autoencoder: true,
  scalingFactor: true,
  shiftFactor: true,
};

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

/**
 * Dispose it when done: it owns engines, weights and the autoencoder.
 *
 * @example
 * ```ts
 * import { saveImage } from "@dcae/core";
 * import { ClassConditionalPipeline } from "@dcae/diffusion";
 *
 * const pipeline = await ClassConditionalPipeline.fromPretrained("usit-scenes"); // comes with the package
 * const { images } = await pipeline.generate({ labels: ["forest", "city"], guidance: 2, seed: 0 });
 * for (const [i, image] of images.entries()) await saveImage(image, `sample-${i}.png`);
 * await pipeline.dispose();
 * ```
 */
export class ClassConditionalPipeline {
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

  /**
   * Loads a denoiser and its autoencoder.
   *
   * @param idOrPath see `openDenoiser`
   * @throws ConfigError when no autoencoder is known, and what `openDenoiser` and `createEngine` throw
   */
  static async fromPretrained(idOrPath: string, options: PipelineOptions = {}): Promise<ClassConditionalPipeline> {
    checkOptions("fromPretrained", options, PIPELINE_OPTIONS);
    const dtype = dtypeOfForm(chooseForm(options));
    const { description, weights, autoencoderWeights } = await openDenoiser(idOrPath, options);
    let engine: Engine | undefined;
    let decoder: Decoder | null = null;
    try {
      // Rewriting is about convolutions: the autoencoder's.
      engine = await createEngine({ ...placeOf(options), dtype });
      decoder = await loadDecoder(description, autoencoderWeights, options);
      const scalingFactor = options.scalingFactor ?? description.scalingFactor;
      const { shiftFactor } = options;
      const parts = { description, weights, engine, decoder, scalingFactor, shiftFactor };
      return new ClassConditionalPipeline({ name: idOrPath, ...parts });
    } catch (error) {
      return failClosed(error, [() => decoder?.dispose(), () => engine?.dispose(), () => weights.close()]);
    }
  }

  /** Of the denoiser, under official names. They are closed with the pipeline. */
  get weights(): Weights {
    return this.#parts.weights;
  }

  /** What decodes; null where only latents are wanted. */
  get decoder(): Decoder | null {
    return this.#parts.decoder;
  }

  /**
   * Samples latents, in the scale of diffusion models.
   *
   * @returns float32 [N, C, S, S]
   */
  async sampleLatents(options: GenerateOptions): Promise<Tensor<"float32">> {
    checkOptions("sampleLatents", options, GENERATE_OPTIONS);
    const labels = options.labels.map((label) => this.#labelNumber(label));
    return sampleLatents(this.#denoiser.forward, this.description, labels, options);
  }

  /**
   * Latents of this model's scale to pictures [N, 3, H, W], nominally in [-1, 1].
   *
   * @throws ConfigError when there is no autoencoder or no scaling factor
   */
  async decode(latents: Tensor): Promise<Tensor> {
    const { decoder, scalingFactor, shiftFactor = this.description.shiftFactor } = this.#parts;
    if (decoder === null) throw new ConfigError(`${this.name}: was loaded without an autoencoder`);
    return decoder.decode(unscaleLatent(latents, { factor: scalingFactor, shift: shiftFactor }, this.name));
  }

  /** Samples pictures. */
  async generate(options: GenerateOptions): Promise<{ readonly images: Image[]; readonly latents: Tensor<"float32"> }> {
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

async function loadDecoder(
  description: DenoiserDescription,
  bundled: Weights | undefined,
  options: PipelineOptions,
): Promise<Decoder | null> {
  if (options.autoencoder === null) return null;
  // Revision and subfolder are those of the denoiser.
  const { autoencoder: _autoencoder, denoiser: _denoiser, ...rest } = options;
  const load = (named: string) => loadAutoencoder(named, { ...rest, revision: undefined, subfolder: undefined });
  if (options.autoencoder !== undefined) return load(options.autoencoder);
  if (bundled !== undefined)
    return bundledAutoencoder(description, bundled, { ...placeOf(options), form: chooseForm(options) });
  if (description.autoencoder === null) {
    throw new ConfigError("the checkpoint doesn't say which autoencoder its latents are of", {
      hint: "Pass autoencoder: a repository, a folder or a file.",
    });
  }
  return load(description.autoencoder);
}

const placeOf = ({ device, threads }: EngineOptions): EngineOptions => ({
  ...(device === undefined ? {} : { device }),
  ...(threads === undefined ? {} : { threads }),
});
