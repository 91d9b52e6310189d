/**
 * An autoencoder as users see it, of whichever family: pictures to latents and back.
 *
 * A model joins a description, weights under the family's own names, and an engine. Programs are built for each shape at first
 * use. Loading depends on the platform (`fromPretrained` in pretrained.node.ts and pretrained.browser.ts); this file runs anywhere.
 */
import type { Weights } from "../checkpoint/weights.js";
import { ConfigError, ShapeError } from "../errors.js";
import type { Tensor } from "../graph/tensor.js";
import { fitToMultiple, type SizePolicy } from "../image/fit-to-multiple.js";
import {
  type ConfigOf,
  familyOf,
  type Kind,
  type LatentOf,
  type ModelConfig,
  nameOfFamily,
} from "../models/families.js";
import { type BlendedTiles, blendedTiles, type EncodeOptions, type TilingOptions } from "../models/family.js";
import type { ModelDescription } from "../models/model-description.js";
import { buildDecodeProgram, buildEncodeProgram } from "../models/model-programs.js";
import { closeAll } from "../runtime/close-all.js";
import type { Engine } from "../runtime/engine.js";
import { createProgramCache, type ProgramCache } from "../runtime/loaded-cache.js";
import { checkBatch, checkFinite, checkPicture, checkPictures } from "./check-tensors.js";
import { type BoundedRuns, createBoundedRuns, type MemoryLimit, type ModelPart } from "./exact-tiling.js";
import { type LatentScale, scaleLatent, unscaleLatent } from "./latent-statistics.js";
import { checkTiling, padToMultiple, runTiled } from "./tiling.js";

/** What a model is made of. `dispose` of the model also disposes the engine and closes the weights. */
export interface ModelParts<K extends Kind = Kind> {
  /** For messages: preset name, repository or folder. */
  readonly name: string;
  readonly description: ModelDescription<K>;
  /** Under the family's own names. */
  readonly weights: Weights;
  readonly engine: Engine;
  /** How many programs (one per shape and direction) stay loaded. Default 2: one encoder and one decoder. */
  readonly maxPrograms?: number | undefined;
}

export interface CodecOptions {
  /**
   * Whether latents are in the scale that diffusion models see: `encode` multiplies by `scalingFactor`, `decode` divides
   * (default false: the autoencoder's own scale).
   */
  readonly scaled?: boolean;
  /**
   * Blended tiles instead of the whole picture at once (see tiling.ts): of this size, or with `true` those that diffusers has
   * for this model. Changes the result.
   */
  readonly tiling?: true | TilingOptions;
  /**
   * Bytes that the process may take at its peak. Pictures that need more run partly in tiles, one picture at a time, with the
   * same result (see `planExactTiling`); those that can't fit are refused before work starts. Programs that stay loaded from
   * calls without a limit aren't counted. Default: no limit.
   */
  readonly maxMemory?: number;
  /** Bytes of `maxMemory` that the caller takes besides the tensors that it gives and gets. Default 0. */
  readonly reserved?: number;
}

/** @see EncodeOptions for adaptive models */
export type EncodePictureOptions = CodecOptions & EncodeOptions;

export interface EncodeLatentOptions extends EncodePictureOptions {
  /** Models that encode to a Gaussian: draws from it with this seed or standard normal noise, instead of taking its mean. */
  readonly noise?: number | Tensor | undefined;
}

export interface ReconstructOptions extends CodecOptions {
  /** What to do with sizes that aren't multiples of the compression (default "error"). */
  readonly sizePolicy?: SizePolicy;
}

export interface MemoryPlanOptions extends MemoryLimit, EncodeOptions {}

export interface MemoryPlan {
  /** Predicted peak of the process in bytes. */
  readonly bytes: number;
  /** Tiles that are computed for one picture; 0 when it runs whole. */
  readonly tiles: number;
  /** Work relative to the whole picture at once, 1 when it runs whole: neighboring tiles compute their borders twice. */
  readonly overhead: number;
}

export class Autoencoder<K extends Kind = Kind> {
  readonly name: string;
  readonly description: ModelDescription<K>;
  readonly weights: Weights;
  readonly engine: Engine;
  /** Pixels per latent position along each axis, f. */
  readonly compression: number;
  readonly #model: ModelConfig;
  readonly #programs: ProgramCache;
  readonly #bounded: BoundedRuns;

  constructor(parts: ModelParts<K>) {
    this.name = parts.name;
    this.description = parts.description;
    this.#model = parts.description as ModelConfig;
    this.weights = parts.weights;
    this.engine = parts.engine;
    this.compression = this.#family.compression(this.config);
    this.#programs = createProgramCache(parts.engine, parts.name, parts.maxPrograms ?? 2);
    this.#bounded = createBoundedRuns(parts.engine, parts.weights);
  }

  get kind(): K {
    return this.description.kind as K;
  }

  get config(): ConfigOf<K> {
    return this.description.config as ConfigOf<K>;
  }

  get latentChannels(): number {
    return this.config.latentChannels;
  }

  /** 1 / RMS of the latents over the training set; diffusion models see `latent * scalingFactor`. Null: not published. */
  get scalingFactor(): number | null {
    return this.description.scalingFactor;
  }

  /** Subtracted from latents before scaling; 0 for every published DC-AE. */
  get shiftFactor(): number {
    return this.description.shiftFactor ?? 0;
  }

  /** The scale that diffusion models see its latents in. */
  get latentScale(): LatentScale {
    return { factor: this.scalingFactor, shift: this.shiftFactor };
  }

  get #family() {
    return familyOf<K>({ kind: this.kind });
  }

  /**
   * Shape of the latent of pictures [N, C, H, W].
   *
   * @throws ShapeError where sides aren't positive multiples of `compression`
   */
  latentShape([batch, , height, width]: readonly [number, number, number, number]): number[] {
    const fits = (side: number) => Number.isSafeInteger(side) && side > 0 && side % this.compression === 0;
    if (!fits(height) || !fits(width)) {
      throw new ShapeError(`latentShape: ${width}x${height} pixels aren't multiples of ${this.compression}`, {
        hint: `A latent of ${this.name} has one position for ${this.compression}x${this.compression} pixels.`,
      });
    }
    return [batch, this.latentChannels, height / this.compression, width / this.compression];
  }

  /**
   * Pictures to what the model encodes them to: latents, float32 [N, L, H/f, W/f], or Gaussians over them (AutoencoderKL).
   *
   * @param x [N, C, H, W] (or [C, H, W]) in [-1, 1], H and W multiples of `compression`
   * @throws ShapeError, DataError for unusable input, ConfigError for options this model doesn't have
   */
  async encode(x: Tensor, options: EncodePictureOptions = {}): Promise<LatentOf<K>> {
    const { latent } = this.#family;
    if (options.scaled === true && latent.isRandom) {
      throw new ConfigError(`scaled: ${this.name} encodes to a distribution, which has no scale of its own`, {
        hint: "Use encodeLatent, or scaleLatent with the latent that was drawn.",
      });
    }
    const encoded = latent.read(await this.#encode(x, options));
    return options.scaled === true ? (this.scaleLatent(encoded as Tensor) as LatentOf<K>) : encoded;
  }

  /**
   * Pictures to latents, of every family: of a Gaussian the mean, or a draw with `noise`.
   *
   * @returns float32 [N, L, H/f, W/f]
   * @throws as `encode`
   */
  async encodeLatent(x: Tensor, options: EncodeLatentOptions = {}): Promise<Tensor> {
    const { latent } = this.#family;
    const { noise } = options;
    if (noise !== undefined && !latent.isRandom) {
      throw new ConfigError(`noise: it has no effect on ${this.name}, ${nameOfFamily(this.kind)} gives one latent`);
    }
    const drawn = latent.latentOf(latent.read(await this.#encode(x, options)), noise);
    return options.scaled === true ? this.scaleLatent(drawn) : drawn;
  }

  /** A latent in the scale of diffusion models, (latent - shiftFactor) * scalingFactor. */
  scaleLatent(latent: Tensor): Tensor {
    return scaleLatent(latent, this.latentScale, this.name);
  }

  /** The inverse of `scaleLatent`. */
  unscaleLatent(latent: Tensor): Tensor {
    return unscaleLatent(latent, this.latentScale, this.name);
  }

  /**
   * Latents to pictures.
   *
   * @param latent [N, L, h, w] (or [L, h, w]); adaptive models take fewer channels
   * @returns float32 [N, C, h*f, w*f], nominally in [-1, 1] but not clamped
   */
  async decode(latent: Tensor, options: CodecOptions = {}): Promise<Tensor> {
    const { decoder: isAdaptive } = this.#family.isAdaptive(this.config);
    const checked = checkBatch(latent, "decode", isAdaptive ? undefined : this.latentChannels);
    const z = options.scaled === true ? this.unscaleLatent(checked) : checked;
    checkMemoryOption(options);
    const decode = (part: Tensor) => this.#run(part, this.#decodePart(), limitOf(options));
    return options.tiling === undefined ? decode(z) : runTiled(z, this.#tiles(options.tiling).decode, decode);
  }

  /**
   * What `encode` or `decode` under a limit of memory does with tensors of a shape.
   *
   * @param shape [N, C, H, W] of the picture for "encode", [N, L, h, w] of the latent for "decode"
   * @throws ConfigError when the limit is too low, with the memory that would do
   */
  planMemory(part: "encode" | "decode", shape: readonly number[], options: MemoryPlanOptions): MemoryPlan {
    const modelPart = part === "encode" ? this.#encodePart(options.latentChannels) : this.#decodePart();
    const { bytes, passes, overhead } = this.#bounded.plan(shape, modelPart, options);
    return { bytes, overhead, tiles: passes.reduce((sum, { regions }) => sum + regions.length, 0) };
  }

  /** The most likely reconstruction, in the size of x where the policy pads, of the crop where it crops. */
  async reconstruct(x: Tensor, options: ReconstructOptions = {}): Promise<Tensor> {
    const { sizePolicy = "error", ...codec } = options;
    const fitted = fitToMultiple(checkPictures(x, "reconstruct", this.config.inChannels), this.compression, sizePolicy);
    checkMemoryOption(codec);
    const limit = limitOf(codec);
    // Refused before the encoder has worked, not after.
    if (limit !== undefined) this.planMemory("decode", this.latentShape(shape4(fitted.tensor)), limit);
    return fitted.restore(await this.decode(await this.encodeLatent(fitted.tensor, codec), codec));
  }

  /** Frees the programs, the engine and the weights' file handles. */
  async dispose(): Promise<void> {
    await closeAll([
      () => this.#programs.dispose(),
      () => this.#bounded.dispose(),
      () => this.engine.dispose(),
      () => this.weights.close(),
    ]);
  }

  #checkLatentChannels(channels: number | undefined): void {
    if (channels === undefined) return;
    const { latentChannels } = this;
    if (!this.#family.isAdaptive(this.config).encoder && channels !== latentChannels) {
      throw new ConfigError(`latentChannels: ${this.name} isn't adaptive, it always gives ${latentChannels} channels`);
    }
    if (!(Number.isInteger(channels) && channels >= 1 && channels <= latentChannels)) {
      throw new ConfigError(`latentChannels: ${channels} isn't an integer from 1 to ${latentChannels}`);
    }
  }

  #encodePart(latentChannels?: number): ModelPart {
    const build = (shape: readonly number[]) => buildEncodeProgram(this.#model, shape, { latentChannels });
    return { label: `encode ${latentChannels ?? ""}`, input: "x", build };
  }

  #decodePart(): ModelPart {
    return { label: "decode", input: "latent", build: (shape) => buildDecodeProgram(this.#model, shape) };
  }

  async #run(x: Tensor, part: ModelPart, limit: MemoryLimit | undefined): Promise<Tensor> {
    const run = async () => {
      if (limit !== undefined) return this.#bounded.run(x, part, limit);
      const key = `${part.label} ${x.shape.join("x")}`;
      const outputs = await this.#programs.run(key, () => part.build(x.shape), this.weights, { [part.input]: x });
      return Object.values(outputs)[0] as Tensor;
    };
    return checkFinite(await run(), x, this, part.input === "x" ? "encode" : "decode");
  }

  /** What the encoder gives, unread. */
  async #encode(x: Tensor, options: EncodePictureOptions): Promise<Tensor> {
    this.#checkLatentChannels(options.latentChannels);
    checkMemoryOption(options);
    const { inChannels } = this.config;
    const part = this.#encodePart(options.latentChannels);
    const encode = (picture: Tensor) => this.#run(picture, part, limitOf(options));
    if (options.tiling === undefined) return encode(checkPicture(x, inChannels, this.compression));

    const f = this.compression;
    const pictures = checkPictures(x, "encode", inChannels);
    const [height, width] = pictures.shape.slice(2).map((side) => Math.floor(side / f)) as [number, number];
    if (height === 0 || width === 0) {
      const [rows, columns] = pictures.shape.slice(2);
      throw new ShapeError(`encode: ${columns}x${rows} pixels are less than one latent position (${f}x${f})`);
    }
    const joined = await runTiled(pictures, this.#tiles(options.tiling).encode, (tile) =>
      encode(padToMultiple(tile, f)),
    );
    return joined.slice([undefined, undefined, { stop: height }, { stop: width }]);
  }

  #tiles(tiling: true | TilingOptions): BlendedTiles {
    if (tiling === true) return this.#family.blendedTiles(this.config);
    checkTiling(tiling, this.compression);
    return blendedTiles(tiling, this.compression);
  }
}

const shape4 = (x: Tensor) => x.shape as unknown as readonly [number, number, number, number];

function limitOf({ maxMemory, reserved }: CodecOptions): MemoryLimit | undefined {
  return maxMemory === undefined ? undefined : { maxMemory, reserved };
}

function checkMemoryOption({ tiling, maxMemory, reserved }: CodecOptions): void {
  if (maxMemory === undefined) {
    if (reserved !== undefined) throw new ConfigError("reserved: it has no effect without maxMemory");
    return;
  }
  if (tiling !== undefined) {
    throw new ConfigError("maxMemory: it chooses exact tiles itself; leave out the option tiling (blended tiles)");
  }
  if (!(maxMemory > 0)) throw new ConfigError(`maxMemory: ${maxMemory} isn't a positive number of bytes`);
  if (reserved !== undefined && !(reserved >= 0))
    throw new ConfigError(`reserved: ${reserved} isn't a number of bytes`);
}
