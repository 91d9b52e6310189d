/**
 * The baseline SD-VAE (AutoencoderKL) as users see it. Its encoder gives a diagonal Gaussian, not a point.
 */
import type { Weights } from "../checkpoint/weights.js";
import { input } from "../graph/ops/leaves.js";
import { createProgram, type Program } from "../graph/program.js";
import { createRandom } from "../graph/random.js";
import { createScope } from "../graph/scope.js";
import { sizeOf, Tensor } from "../graph/tensor.js";
import { fitToMultiple } from "../image/fit-to-multiple.js";
import { sdVaeDecode, sdVaeEncode } from "../models/sd-vae/sd-vae.js";
import { type SdVaeConfig, sdVaeSpatialCompression } from "../models/sd-vae/sd-vae-config.js";
import { closeAll } from "../runtime/close-all.js";
import type { Engine } from "../runtime/engine.js";
import type { CodecOptions, ModelParts, ReconstructOptions } from "./autoencoder-dc.js";
import { checkFinite } from "./check-finite.js";
import { type LatentScale, scaleLatent, unscaleLatent } from "./latent-scale.js";
import { checkBatch, checkPicture, checkPictures } from "./model-tensors.js";
import { createProgramCache, type ProgramCache } from "./program-cache.js";
import { runTiled } from "./tiling.js";

/** Log variances outside of this range are clamped, as the reference does. */
const LOG_VARIANCE_RANGE = [-30, 20] as const;
/** Share of a tile that overlaps with the next one. */
const TILE_OVERLAP = 0.25;

/** A Gaussian per latent value, all tensors [N, L, h, w]. */
export interface DiagonalGaussian {
  readonly mean: Tensor;
  /** Clamped to [-30, 20]. */
  readonly logVariance: Tensor;
  readonly std: Tensor;
  /** The most likely latent, the mean. */
  mode(): Tensor;
  /** mean + std * noise; `noise` is standard normal, drawn from `seed` or given. */
  sample(noise: number | Tensor): Tensor;
  /** Kullback-Leibler divergence from the standard normal per picture, [N], in nats. */
  kl(): Tensor;
}

/** The Gaussian of moments [N, 2L, h, w] = [mean, log variance]. */
export function diagonalGaussian(moments: Tensor): DiagonalGaussian {
  const channels = (moments.shape[1] as number) / 2;
  const mean = moments.slice([undefined, { stop: channels }]).cast("float32");
  const [low, high] = LOG_VARIANCE_RANGE;
  const shape = mean.shape;
  const map = (tensor: Tensor, f: (value: number) => number) => Tensor.float32(tensor.toFloat32().map(f), shape);
  const logVariance = map(moments.slice([undefined, { start: channels }]), (v) => Math.min(Math.max(v, low), high));
  const std = map(logVariance, (value) => Math.exp(value / 2));
  return {
    mean,
    logVariance,
    std,
    mode: () => mean,
    sample(noise) {
      const epsilon = typeof noise === "number" ? normalNoise(noise, sizeOf(shape)) : noise.toFloat32();
      const scale = std.toFloat32();
      const center = mean.toFloat32();
      return Tensor.float32(
        center.map((value, i) => value + (scale[i] as number) * (epsilon[i] as number)),
        shape,
      );
    },
    kl() {
      const [center, logs] = [mean.toFloat32(), logVariance.toFloat32()];
      const perPicture = sizeOf(shape.slice(1));
      const sums = new Float32Array(shape[0] as number);
      sums.forEach((_, n) => {
        let sum = 0;
        for (let i = n * perPicture; i < (n + 1) * perPicture; i++) {
          const [m, log] = [center[i] as number, logs[i] as number];
          sum += m * m + Math.exp(log) - 1 - log;
        }
        sums[n] = sum / 2;
      });
      return Tensor.float32(sums);
    },
  };
}

function normalNoise(seed: number, size: number): Float32Array {
  const noise = new Float32Array(size);
  createRandom(seed).normal(noise);
  return noise;
}

export class AutoencoderKLModel {
  readonly kind = "sd-vae";
  readonly name: string;
  readonly config: SdVaeConfig;
  readonly weights: Weights;
  readonly engine: Engine;
  readonly scalingFactor: number | null;
  /** Subtracted from latents before scaling. */
  readonly shiftFactor: number;
  /** Pixels per latent position along each axis. */
  readonly compression: number;
  readonly #programs: ProgramCache;

  constructor(parts: ModelParts<SdVaeConfig>) {
    this.name = parts.name;
    this.config = parts.config;
    this.weights = parts.weights;
    this.engine = parts.engine;
    this.scalingFactor = parts.scalingFactor;
    this.shiftFactor = parts.shiftFactor ?? 0;
    this.compression = sdVaeSpatialCompression(parts.config);
    this.#programs = createProgramCache(parts.engine, parts.weights, parts.maxPrograms ?? 2);
  }

  get latentChannels(): number {
    return this.config.latentChannels;
  }

  /**
   * Pictures to Gaussians over latents.
   *
   * @param x [N, 3, H, W] (or [3, H, W]) in [-1, 1], H and W multiples of `compression`
   */
  async encode(x: Tensor, options: { readonly tiled?: boolean } = {}): Promise<DiagonalGaussian> {
    const moments = options.tiled === true ? await this.#encodeTiled(x) : await this.#encode(x);
    return diagonalGaussian(moments);
  }

  /** Latents [N, L, h, w] to pictures [N, 3, h*f, w*f], nominally in [-1, 1]. */
  async decode(
    latent: Tensor,
    options: Omit<CodecOptions, "tiling" | "maxMemory" | "reserved"> & { readonly tiled?: boolean } = {},
  ): Promise<Tensor> {
    const checked = checkBatch(latent, "decode", this.latentChannels);
    const z = options.scaled === true ? this.unscaleLatent(checked) : checked;
    return options.tiled === true ? this.#decodeTiled(z) : this.#decode(z);
  }

  /** decode(mode of encode(x)) in the size of x where the policy pads, of the crop where it crops. */
  async reconstruct(x: Tensor, { sizePolicy = "error" }: Pick<ReconstructOptions, "sizePolicy"> = {}): Promise<Tensor> {
    const fitted = fitToMultiple(checkPictures(x, "reconstruct", this.config.inChannels), this.compression, sizePolicy);
    return fitted.restore(await this.decode((await this.encode(fitted.tensor)).mode()));
  }

  async dispose(): Promise<void> {
    await closeAll([() => this.#programs.dispose(), () => this.engine.dispose(), () => this.weights.close()]);
  }

  /** A latent in the scale of diffusion models, (latent - shiftFactor) * scalingFactor. */
  scaleLatent(latent: Tensor): Tensor {
    return scaleLatent(latent, this.latentScale, this.name);
  }

  /** The inverse of `scaleLatent`. */
  unscaleLatent(latent: Tensor): Tensor {
    return unscaleLatent(latent, this.latentScale, this.name);
  }

  /** The scale that diffusion models see its latents in. */
  get latentScale(): LatentScale {
    return { factor: this.scalingFactor, shift: this.shiftFactor };
  }

  async #encode(picture: Tensor): Promise<Tensor> {
    const x = checkPicture(picture, this.config.inChannels, this.compression);
    const build = () => buildKlEncodeProgram(this.config, x.shape);
    const { moments } = await this.#programs.run(`encode ${x.shape.join("x")}`, build, { x });
    return checkFinite(moments as Tensor, x, this, "encode");
  }

  async #decode(latent: Tensor): Promise<Tensor> {
    const build = () => buildKlDecodeProgram(this.config, latent.shape);
    const { picture } = await this.#programs.run(`decode ${latent.shape.join("x")}`, build, { latent });
    return checkFinite(picture as Tensor, latent, this, "decode");
  }

  /** Tiles of `sampleSize` with an overlap of a quarter, as diffusers does (dcae.md section 9). */
  #encodeTiled(x: Tensor): Promise<Tensor> {
    const tile = this.config.sampleSize;
    const latentTile = Math.floor(tile / this.compression);
    const pass = this.#pass(tile, Math.floor(tile * (1 - TILE_OVERLAP)), latentTile);
    return runTiled(checkPictures(x, "encode", this.config.inChannels), pass, (part) => this.#encode(part));
  }

  #decodeTiled(latent: Tensor): Promise<Tensor> {
    const tile = Math.floor(this.config.sampleSize / this.compression);
    const pass = this.#pass(tile, Math.floor(tile * (1 - TILE_OVERLAP)), this.config.sampleSize);
    return runTiled(latent, pass, (part) => this.#decode(part));
  }

  #pass(tile: number, stride: number, outputTile: number) {
    const blend = Math.floor(outputTile * TILE_OVERLAP);
    const keep = outputTile - blend;
    return {
      tile: [tile, tile],
      stride: [stride, stride],
      blend: [blend, blend],
      keep: [keep, keep],
    } as const;
  }
}

/** The encoder with its `quant_conv` as a program: input `x`, output `moments`. */
export function buildKlEncodeProgram(config: SdVaeConfig, shape: Parameters<typeof input>[1]): Program {
  return createProgram("encode", { moments: sdVaeEncode(createScope(), input("x", shape), config) });
}

/** The decoder with its `post_quant_conv` as a program: input `latent`, output `picture`. */
export function buildKlDecodeProgram(config: SdVaeConfig, shape: Parameters<typeof input>[1]): Program {
  return createProgram("decode", { picture: sdVaeDecode(createScope(), input("latent", shape), config) });
}
