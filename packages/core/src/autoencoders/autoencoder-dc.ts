/**
 * The Deep Compression Autoencoder as users see it: pictures to latents and back.
 *
 * A model joins a configuration, weights under official names, and an engine. Programs are built for each shape at first
 * use. Loading depends on the platform (`fromPretrained` in pretrained.node.ts and pretrained.browser.ts); this file runs anywhere.
 */
import type { Weights } from "../checkpoint/weights.js";
import { ConfigError, ShapeError } from "../errors.js";
import { input } from "../graph/ops/leaves.js";
import { createProgram, type Program } from "../graph/program.js";
import { createScope } from "../graph/scope.js";
import type { Tensor } from "../graph/tensor.js";
import { fitToMultiple, type SizePolicy } from "../image/fit-to-multiple.js";
import { dcAeDecode, dcAeEncode } from "../models/dc-ae/dc-ae.js";
import { type DcAeConfig, spatialCompression } from "../models/dc-ae/dc-ae-config.js";
import { closeAll } from "../runtime/close-all.js";
import type { Engine } from "../runtime/engine.js";
import { type BoundedRuns, createBoundedRuns, type MemoryLimit, type ModelPart } from "./bounded-runs.js";
import { checkFinite } from "./check-finite.js";
import { type LatentScale, scaleLatent, unscaleLatent } from "./latent-scale.js";
import { checkBatch, checkPicture, checkPictures } from "./model-tensors.js";
import { padToMultiple } from "./pad-to-multiple.js";
import { createProgramCache, type ProgramCache } from "./program-cache.js";
import { checkTiling, runTiled, type TilingOptions, tilePass } from "./tiling.js";

/** What a model is made of. `dispose` of the model also disposes the engine and closes the weights. */
export interface ModelParts<Config> {
  /** For messages: preset name, repository or folder. */
  readonly name: string;
  readonly config: Config;
  /** Under official names. */
  readonly weights: Weights;
  readonly engine: Engine;
  /** Null where none was published. */
  readonly scalingFactor: number | null;
  /** Default 0. */
  readonly shiftFactor?: number | null | undefined;
  /** How many programs (one per shape and direction) stay loaded. Default 2: one encoder and one decoder. */
  readonly maxPrograms?: number | undefined;
}

export interface CodecOptions {
  /**
   * Whether latents are in the scale that diffusion models see: `encode` multiplies by `scalingFactor`, `decode` divides
   * (default false: the autoencoder's own scale).
   */
  readonly scaled?: boolean;
  /** Blended tiles of this size instead of the whole picture at once (see `blendedTiling`). Changes the result. */
  readonly tiling?: TilingOptions;
  /**
   * Bytes that the process may take at its peak. Pictures that need more run partly in tiles, one picture at a time, with the
   * same result (see `planExactTiling`); those that can't fit are refused before work starts. Programs that stay loaded from
   * calls without a limit aren't counted. Default: no limit.
   */
  readonly maxMemory?: number;
  /** Bytes of `maxMemory` that the caller takes besides the tensors that it gives and gets. Default 0. */
  readonly reserved?: number;
}

export interface EncodeDcOptions extends CodecOptions {
  /** Adaptive models (DC-AE 1.5): compute only the first channels of the latent. */
  readonly latentChannels?: number;
}

export interface ReconstructOptions extends CodecOptions {
  /** What to do with sizes that aren't multiples of the compression (default "error"). */
  readonly sizePolicy?: SizePolicy;
}

export interface MemoryPlanOptions extends MemoryLimit {
  /** As for `encode`. */
  readonly latentChannels?: number;
}

export interface MemoryPlan {
  /** Predicted peak of the process in bytes. */
  readonly bytes: number;
  /** Tiles that are computed for one picture; 0 when it runs whole. */
  readonly tiles: number;
  /** Work relative to the whole picture at once, 1 when it runs whole: neighboring tiles compute their borders twice. */
  readonly overhead: number;
}

/** Default tiles of diffusers: 512 pixels with a distance of 448. */
export const DEFAULT_TILING: TilingOptions = { tile: [512, 512], stride: [448, 448] };

export class AutoencoderDCModel {
  readonly kind = "dc-ae";
  readonly name: string;
  readonly config: DcAeConfig;
  readonly weights: Weights;
  readonly engine: Engine;
  /** 1 / RMS of the latents over the training set; diffusion models see `latent * scalingFactor`. Null: not published. */
  readonly scalingFactor: number | null;
  /** Subtracted from latents before scaling; 0 for every published DC-AE. */
  readonly shiftFactor: number;
  /** Pixels per latent position along each axis, f. */
  readonly compression: number;
  readonly #programs: ProgramCache;
  readonly #bounded: BoundedRuns;

  constructor(parts: ModelParts<DcAeConfig>) {
    this.name = parts.name;
    this.config = parts.config;
    this.weights = parts.weights;
    this.engine = parts.engine;
    this.scalingFactor = parts.scalingFactor;
    this.shiftFactor = parts.shiftFactor ?? 0;
    this.compression = spatialCompression(parts.config);
    this.#programs = createProgramCache(parts.engine, parts.weights, parts.maxPrograms ?? 2);
    this.#bounded = createBoundedRuns(parts.engine, parts.weights);
  }

  get latentChannels(): number {
    return this.config.latentChannels;
  }

  /** The scale that diffusion models see its latents in. */
  get latentScale(): LatentScale {
    return { factor: this.scalingFactor, shift: this.shiftFactor };
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
   * Pictures to latents.
   *
   * @param x [N, C, H, W] (or [C, H, W]) in [-1, 1], H and W multiples of `compression`
   * @returns float32 [N, L, H/f, W/f]
   * @throws ShapeError, DataError for unusable input, ConfigError for options this model doesn't have
   */
  async encode(x: Tensor, options: EncodeDcOptions = {}): Promise<Tensor> {
    this.#checkLatentChannels(options.latentChannels);
    checkMemoryOption(options);
    const latent =
      options.tiling === undefined
        ? await this.#encode(checkPicture(x, this.config.inChannels, this.compression), options)
        : await this.#encodeTiled(checkPictures(x, "encode", this.config.inChannels), options, options.tiling);
    return options.scaled === true ? this.scaleLatent(latent) : latent;
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
    const isAdaptive = this.config.decoder.inBlockType === "AdaptiveInputConvLayer";
    const checked = checkBatch(latent, "decode", isAdaptive ? undefined : this.latentChannels);
    const z = options.scaled === true ? this.unscaleLatent(checked) : checked;
    checkMemoryOption(options);
    return options.tiling === undefined ? this.#decode(z, limitOf(options)) : this.#decodeTiled(z, options.tiling);
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

  /** decode(encode(x)) in the size of x where the policy pads, of the crop where it crops. */
  async reconstruct(x: Tensor, options: ReconstructOptions = {}): Promise<Tensor> {
    const { sizePolicy = "error", ...codec } = options;
    const fitted = fitToMultiple(checkPictures(x, "reconstruct", this.config.inChannels), this.compression, sizePolicy);
    checkMemoryOption(codec);
    const limit = limitOf(codec);
    // Refused before the encoder has worked, not after.
    if (limit !== undefined) this.planMemory("decode", this.latentShape(shape4(fitted.tensor)), limit);
    return fitted.restore(await this.decode(await this.encode(fitted.tensor, codec), codec));
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
    const { latentChannels, encoder } = this.config;
    if (encoder.outBlockType !== "AdaptiveOutputConvLayer" && channels !== latentChannels) {
      throw new ConfigError(`latentChannels: ${this.name} isn't adaptive, it always gives ${latentChannels} channels`);
    }
    if (!(Number.isInteger(channels) && channels >= 1 && channels <= latentChannels)) {
      throw new ConfigError(`latentChannels: ${channels} isn't an integer from 1 to ${latentChannels}`);
    }
  }

  #encodePart(latentChannels?: number): ModelPart {
    const build = (shape: readonly number[]) => buildEncodeProgram(this.config, shape, { latentChannels });
    return { label: `encode ${latentChannels ?? ""}`, input: "x", build };
  }

  #decodePart(): ModelPart {
    return { label: "decode", input: "latent", build: (shape) => buildDecodeProgram(this.config, shape) };
  }

  async #run(x: Tensor, part: ModelPart, limit: MemoryLimit | undefined): Promise<Tensor> {
    if (limit !== undefined) return this.#bounded.run(x, part, limit);
    const key = `${part.label} ${x.shape.join("x")}`;
    const outputs = await this.#programs.run(key, () => part.build(x.shape), { [part.input]: x });
    return Object.values(outputs)[0] as Tensor;
  }

  async #encode(x: Tensor, options: EncodeDcOptions): Promise<Tensor> {
    const latent = await this.#run(x, this.#encodePart(options.latentChannels), limitOf(options));
    return checkFinite(latent, x, this, "encode");
  }

  async #decode(latent: Tensor, limit?: MemoryLimit): Promise<Tensor> {
    return checkFinite(await this.#run(latent, this.#decodePart(), limit), latent, this, "decode");
  }

  async #encodeTiled(x: Tensor, options: EncodeDcOptions, tiling: TilingOptions): Promise<Tensor> {
    checkTiling(tiling, this.compression);
    const f = this.compression;
    const pass = tilePass(tiling, (pixels) => Math.floor(pixels / f));
    const joined = await runTiled(x, pass, (tile) => this.#encode(padToMultiple(tile, f), options));
    const [height, width] = x.shape.slice(2) as [number, number];
    const crop = [undefined, undefined, { stop: Math.floor(height / f) }, { stop: Math.floor(width / f) }];
    if (Math.floor(height / f) === 0 || Math.floor(width / f) === 0) {
      throw new ShapeError(`encode: ${width}x${height} pixels are less than one latent position (${f}x${f})`);
    }
    return joined.slice(crop);
  }

  async #decodeTiled(latent: Tensor, tiling: TilingOptions): Promise<Tensor> {
    checkTiling(tiling, this.compression);
    const f = this.compression;
    const toLatent = ([vertical, horizontal]: readonly [number, number]): [number, number] => [
      Math.floor(vertical / f),
      Math.floor(horizontal / f),
    ];
    const [tile, stride] = [toLatent(tiling.tile), toLatent(tiling.stride)];
    const blend = [tiling.tile[0] - tiling.stride[0], tiling.tile[1] - tiling.stride[1]] as const;
    return runTiled(latent, { tile, stride, blend, keep: tiling.stride }, (part) => this.#decode(part));
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

/** The encoder for pictures of one shape as a program: input `x`, output `latent`. */
export function buildEncodeProgram(
  config: DcAeConfig,
  shape: Parameters<typeof input>[1],
  options: { readonly latentChannels?: number | undefined } = {},
): Program {
  return createProgram("encode", { latent: dcAeEncode(createScope(), input("x", shape), config, options) });
}

/** The decoder for latents of one shape as a program: input `latent`, output `picture`. */
export function buildDecodeProgram(config: DcAeConfig, shape: Parameters<typeof input>[1]): Program {
  return createProgram("decode", { picture: dcAeDecode(createScope(), input("latent", shape), config) });
}
