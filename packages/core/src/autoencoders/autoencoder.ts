/**
 * An autoencoder as users see it, of whichever family: pictures to latents and back.
 *
 * A model joins a description, weights under the family's own names, and an engine. Programs are built for each shape at first
 * use. Loading depends on the platform (`fromPretrained` in pretrained.node.ts and pretrained.browser.ts); this file runs anywhere.
 */
import { checkOptions, type OptionNames } from "../check-options.js";
import type { Weights } from "../checkpoint/weights.js";
import { ConfigError, DataError, ShapeError } from "../errors.js";
import { Tensor } from "../graph/tensor.js";
import { fitToMultiple, type SizePolicy } from "../image/fit-to-multiple.js";
import { type Image, imageToTensor } from "../image/image.js";
import { type ImageSource, imageFromPixels, mayBePicture, notAPicture, type Picture } from "../image/picture-source.js";
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
import { buildDecodeProgram, buildEncodeProgram, buildMaskedDecodeProgram } from "../models/model-programs.js";
import type { Communicator } from "../parallel/communicator.js";
import { closeAll, unlessAborted } from "../runtime/close-all.js";
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
  /** Reads pictures that aren't tensors, in the forms that the platform has. By default only pixels in memory are taken. */
  readonly readPicture?: ((source: ImageSource) => Promise<Image>) | undefined;
}

/**
 * How latents are scaled and how a picture that is large goes through: options of `encode`, `decode` and `reconstruct`.
 */
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
  /**
   * With `maxMemory`, which then is that of each: ranks that share the tiles of every picture (`openMpi`), and make the same calls. Each gets
   * the result. Default: this process alone.
   */
  readonly ranks?: Communicator | undefined;
  /** Ends the call with the signal's reason. What is being computed at that time can't be stopped, but nothing follows it. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of `decode`. */
export interface DecodeLatentOptions extends CodecOptions {
  /** Models that fill in pictures (AsymmetricAutoencoderKL), with `mask`: the picture, of the size of what is decoded. */
  readonly image?: Picture | undefined;
  /**
   * What of `image` is to be filled in: a tensor [N, 1, H, W] (or [1, H, W]) that is 1 there and 0 where the picture is known, or a
   * black picture that is white there. Without both the latent alone decides.
   */
  readonly mask?: Picture | undefined;
}

/** Options of `encode`. See `EncodeOptions` for adaptive models. */
export type EncodePictureOptions = CodecOptions & EncodeOptions;

/** Options of `encodeLatent`: those of `encode`, and the noise of models that give a Gaussian. */
export interface EncodeLatentOptions extends EncodePictureOptions {
  /** Models that encode to a Gaussian: draws from it with this seed or standard normal noise, instead of taking its mean. */
  readonly noise?: number | Tensor | undefined;
}

/** Options of `reconstruct`. */
export interface ReconstructOptions extends CodecOptions {
  /** What to do with sizes that aren't multiples of the compression (default "error"). */
  readonly sizePolicy?: SizePolicy;
}

/** Options of `warmUp`: for which pictures, and which half. */
export interface WarmUpOptions extends Pick<CodecOptions, "signal"> {
  /** Of the pictures to come, in pixels: the side of a square, or [height, width]. Multiples of `compression`. */
  readonly size: number | readonly [height: number, width: number];
  /** Default: both. */
  readonly parts?: readonly ("encode" | "decode")[];
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

const CODEC_OPTIONS: OptionNames<CodecOptions> = {
  scaled: true,
  tiling: true,
  maxMemory: true,
  reserved: true,
  ranks: true,
  signal: true,
};
const DECODE_OPTIONS: OptionNames<DecodeLatentOptions> = { ...CODEC_OPTIONS, image: true, mask: true };
const ENCODE_OPTIONS: OptionNames<EncodePictureOptions> = { ...CODEC_OPTIONS, latentChannels: true };
const ENCODE_LATENT_OPTIONS: OptionNames<EncodeLatentOptions> = { ...ENCODE_OPTIONS, noise: true };
const RECONSTRUCT_OPTIONS: OptionNames<ReconstructOptions> = { ...CODEC_OPTIONS, sizePolicy: true };
const WARM_UP_OPTIONS: OptionNames<WarmUpOptions> = { size: true, parts: true, signal: true };
const PLAN_OPTIONS: OptionNames<MemoryPlanOptions> = { maxMemory: true, reserved: true, latentChannels: true };

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
  readonly #readPicture: (source: ImageSource) => Promise<Image>;

  constructor(parts: ModelParts<K>) {
    this.name = parts.name;
    this.description = parts.description;
    this.#model = parts.description as ModelConfig;
    this.weights = parts.weights;
    this.engine = parts.engine;
    this.compression = this.#family.compression(this.config);
    this.#programs = createProgramCache(parts.engine, parts.name, parts.maxPrograms ?? 2);
    this.#bounded = createBoundedRuns(parts.engine, parts.weights);
    this.#readPicture = parts.readPicture ?? readPixels;
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
   * @param picture [N, C, H, W] (or [C, H, W]) in [-1, 1], or one picture in any usual form: a path or URL, the bytes of a file, a Blob,
   *   a Response, a stream, a sharp instance, ImageData, a canvas, an `Image`... (see `ImageSource`). H and W are multiples of
   *   `compression`
   * @throws ShapeError, DataError for unusable input, ConfigError for options this model doesn't have
   */
  async encode(picture: Picture, options: EncodePictureOptions = {}): Promise<LatentOf<K>> {
    checkOptions("encode", options, ENCODE_OPTIONS);
    const { latent } = this.#family;
    if (options.scaled === true && latent.isRandom) {
      throw new ConfigError(`scaled: ${this.name} encodes to a distribution, which has no scale of its own`, {
        hint: "Use encodeLatent, or scaleLatent with the latent that was drawn.",
      });
    }
    const encoded = latent.read(await this.#encode(picture, "encode", options));
    return options.scaled === true ? (this.scaleLatent(encoded as Tensor) as LatentOf<K>) : encoded;
  }

  /**
   * Pictures to latents, of every family: of a Gaussian the mean, or a draw with `noise`.
   *
   * @returns float32 [N, L, H/f, W/f]
   * @throws as `encode`
   */
  async encodeLatent(picture: Picture, options: EncodeLatentOptions = {}): Promise<Tensor<"float32">> {
    checkOptions("encodeLatent", options, ENCODE_LATENT_OPTIONS);
    const { latent } = this.#family;
    const { noise } = options;
    if (noise !== undefined && !latent.isRandom) {
      throw new ConfigError(`noise: it has no effect on ${this.name}, ${nameOfFamily(this.kind)} gives one latent`);
    }
    const drawn = latent.latentOf(latent.read(await this.#encode(picture, "encodeLatent", options)), noise);
    return (options.scaled === true ? this.scaleLatent(drawn) : drawn).cast("float32");
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
   * @throws ShapeError, DataError for unusable input, ConfigError for options this model doesn't have
   */
  async decode(latent: Tensor, options: DecodeLatentOptions = {}): Promise<Tensor<"float32">> {
    checkOptions("decode", options, DECODE_OPTIONS);
    const { decoder: isAdaptive } = this.#family.isAdaptive(this.config);
    const checked = checkBatch(latent, "decode", isAdaptive ? undefined : this.latentChannels);
    const z = options.scaled === true ? this.unscaleLatent(checked) : checked;
    checkMemoryOption(options);
    const decode = (part: Tensor) => this.#run(part, this.#decodePart(), options);
    const { tiling, image, mask } = options;
    if (image !== undefined || mask !== undefined) {
      return unlessSignal(options, () => this.#decodeMasked(z, options));
    }
    return unlessSignal(options, async () =>
      tiling === undefined ? decode(z) : (await runTiled(z, this.#tiles(tiling).decode, decode)).cast("float32"),
    );
  }

  /**
   * What `encode` or `decode` under a limit of memory does with tensors of a shape.
   *
   * @param shape [N, C, H, W] of the picture for "encode", [N, L, h, w] of the latent for "decode"
   * @throws ConfigError when the limit is too low, with the memory that would do
   */
  planMemory(part: "encode" | "decode", shape: readonly number[], options: MemoryPlanOptions): MemoryPlan {
    checkOptions("planMemory", options, PLAN_OPTIONS);
    const modelPart = part === "encode" ? this.#encodePart(options.latentChannels) : this.#decodePart();
    const { bytes, passes, overhead } = this.#bounded.plan(shape, modelPart, options);
    return { bytes, overhead, tiles: passes.reduce((sum, { regions }) => sum + regions.length, 0) };
  }

  /** The most likely reconstruction, in the size of x where the policy pads, of the crop where it crops. */
  async reconstruct(picture: Picture, options: ReconstructOptions = {}): Promise<Tensor<"float32">> {
    checkOptions("reconstruct", options, RECONSTRUCT_OPTIONS);
    const { sizePolicy = "error", ...codec } = options;
    checkMemoryOption(codec);
    const x = await unlessSignal(codec, () => this.#tensorOf(picture, "reconstruct"));
    const fitted = fitToMultiple(checkPictures(x, "reconstruct", this.config.inChannels), this.compression, sizePolicy);
    const limit = limitOf(codec);
    // Refused before the encoder has worked, not after.
    if (limit !== undefined) this.planMemory("decode", this.latentShape(shape4(fitted.tensor)), limit);
    return fitted.restore(await this.decode(await this.encodeLatent(fitted.tensor, codec), codec)).cast("float32");
  }

  /**
   * Makes the programs for one picture of a size ready and runs each once, on gray, so that the first picture doesn't wait for it:
   * while somebody still chooses one, in a browser. Another size needs programs of its own.
   *
   * @throws ShapeError for sizes that aren't multiples of `compression`, ConfigError for unknown parts
   */
  async warmUp(options: WarmUpOptions): Promise<void> {
    checkOptions("warmUp", options, WARM_UP_OPTIONS);
    const { size, parts = ["encode", "decode"], signal } = options;
    const [height, width] = typeof size === "number" ? [size, size] : size;
    const latent = this.latentShape([1, this.config.inChannels, height, width]);
    for (const part of parts) {
      if (part !== "encode" && part !== "decode") {
        throw new ConfigError(`warmUp: there is no part "${String(part)}"`, { hint: "Use encode, decode or both." });
      }
    }
    const picture = [1, this.config.inChannels, height, width];
    if (parts.includes("encode")) await this.encodeLatent(Tensor.zeros(picture), { signal });
    if (parts.includes("decode")) await this.decode(Tensor.zeros(latent), { signal });
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

  async #run(x: Tensor, part: ModelPart, options: CodecOptions): Promise<Tensor<"float32">> {
    const { signal, ranks } = options;
    const limit = limitOf(options);
    const run = async () => {
      if (limit !== undefined) return this.#bounded.run(x, part, limit, signal, ranks);
      const key = `${part.label} ${x.shape.join("x")}`;
      const inputs = { [part.input]: x };
      const outputs = await this.#programs.run(key, () => part.build(x.shape), this.weights, inputs, signal);
      return Object.values(outputs)[0] as Tensor;
    };
    return (await checkFinite(await run(), x, this, part.input === "x" ? "encode" : "decode")).cast("float32");
  }

  /** The decoder with a picture and a mask: whole, since its encoder of what is known has no tiles. */
  async #decodeMasked(
    z: Tensor,
    { image, mask, tiling, maxMemory, signal }: DecodeLatentOptions,
  ): Promise<Tensor<"float32">> {
    if (this.#family.takesCondition !== true) {
      throw new ConfigError(`decode: image and mask are for models that fill in pictures, ${this.name} isn't one`, {
        hint: "AsymmetricAutoencoderKL is.",
      });
    }
    if (image === undefined || mask === undefined) {
      throw new ConfigError(`decode: ${image === undefined ? "mask" : "image"} has no effect without the other one`, {
        hint: "Give both, the picture and the mask of what is to be filled in.",
      });
    }
    if (tiling !== undefined || maxMemory !== undefined) {
      const option = tiling !== undefined ? "tiling" : "maxMemory";
      throw new ConfigError(`decode: with image and mask the picture goes through whole, leave out ${option}`);
    }
    const sides = (z.shape.slice(2) as number[]).map((side) => side * this.compression);
    const [batch, channels] = [z.shape[0] as number, this.config.inChannels];
    const inputs = {
      latent: z,
      image: ofShape(
        checkPictures(await this.#tensorOf(image, "decode"), "decode: image", channels),
        [batch, channels, ...sides],
        "image",
      ),
      mask: ofShape(await this.#maskOf(mask), [batch, 1, ...sides], "mask"),
    };
    const key = `decode masked ${z.shape.join("x")}`;
    const build = () => buildMaskedDecodeProgram(this.#model, z.shape);
    const outputs = await this.#programs.run(key, build, this.weights, inputs, signal);
    return (await checkFinite(Object.values(outputs)[0] as Tensor, z, this, "decode")).cast("float32");
  }

  /** A mask as float32 [N, 1, H, W] in [0, 1]. */
  async #maskOf(mask: Picture): Promise<Tensor<"float32">> {
    if (!(mask instanceof Tensor)) {
      const pixels = await this.#tensorOf(mask, "decode");
      const [, channels, height, width] = shape4(pixels);
      const data = pixels.toFloat32();
      const plane = height * width;
      const white = Float32Array.from({ length: plane }, (_, i) => {
        let sum = 0;
        for (let c = 0; c < channels; c++) sum += data[c * plane + i] as number;
        return sum >= 0 ? 1 : 0;
      });
      return Tensor.float32(white, [1, 1, height, width]);
    }
    const values = checkBatch(mask, "decode: mask", 1).cast("float32");
    const wrong = values.data.find((value) => !(value >= 0 && value <= 1));
    if (wrong === undefined) return values;
    throw new DataError(`decode: the mask holds ${wrong}, its values are from 0 (known) to 1 (to be filled in)`);
  }

  async #tensorOf(picture: Picture, what: string): Promise<Tensor> {
    if (picture instanceof Tensor) return picture;
    if (!mayBePicture(picture)) throw notAPicture(what, picture);
    return imageToTensor(await this.#readPicture(picture));
  }

  /** What the encoder gives, unread. */
  async #encode(picture: Picture, what: string, options: EncodePictureOptions): Promise<Tensor<"float32">> {
    this.#checkLatentChannels(options.latentChannels);
    checkMemoryOption(options);
    return unlessSignal(options, async () => this.#encodeTensor(await this.#tensorOf(picture, what), options));
  }

  async #encodeTensor(x: Tensor, options: EncodePictureOptions): Promise<Tensor<"float32">> {
    const { inChannels } = this.config;
    const part = this.#encodePart(options.latentChannels);
    const encode = (picture: Tensor) => this.#run(picture, part, options);
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
    return joined.slice([undefined, undefined, { stop: height }, { stop: width }]).cast("float32");
  }

  #tiles(tiling: true | TilingOptions): BlendedTiles {
    if (tiling === true) return this.#family.blendedTiles(this.config);
    checkTiling(tiling, this.compression);
    return blendedTiles(tiling, this.compression);
  }
}

/** For models that were made without a platform. */
async function readPixels(source: ImageSource): Promise<Image> {
  const image = imageFromPixels(source);
  if (image !== undefined) return image;
  throw new ConfigError("this model was made by hand, and doesn't say how pictures are read", {
    hint: "Give a tensor or pixels, or pass readPicture with the parts of the model.",
  });
}

/** The result of `work`, or the reason of the signal as soon as it is aborted. */
async function unlessSignal<T>({ signal }: CodecOptions, work: () => Promise<T>): Promise<T> {
  if (signal === undefined) return work();
  signal.throwIfAborted();
  return unlessAborted(work(), signal);
}

/** @throws ShapeError where `x` hasn't the shape that belongs to the latent */
function ofShape(x: Tensor<"float32">, shape: readonly number[], name: string): Tensor<"float32"> {
  if (x.shape.join() === shape.join()) return x;
  throw new ShapeError(
    `decode: ${name} has the shape [${x.shape.join(", ")}], but the latent gives [${shape.join(", ")}]`,
  );
}

const shape4 = (x: Tensor) => x.shape as unknown as readonly [number, number, number, number];

function limitOf({ maxMemory, reserved }: CodecOptions): MemoryLimit | undefined {
  return maxMemory === undefined ? undefined : { maxMemory, reserved };
}

function checkMemoryOption({ tiling, maxMemory, reserved, ranks }: CodecOptions): void {
  if (maxMemory === undefined) {
    if (ranks !== undefined) throw new ConfigError("ranks: they share the tiles of pictures, which maxMemory asks for");
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
