/** Both kinds of autoencoder behind one pair of functions, with the options that a command was given. */
import { ConfigError, DataError, DEFAULT_TILING, Tensor } from "@dcae/core";
import { createRandom, sizeOf } from "@dcae/core/graph";
import { unlessInterrupted } from "./interrupted.js";
import type { Model } from "./options/engine-options.js";
import { UsageError } from "./usage-error.js";

export interface CodecFlags {
  /** Latents in the scale that diffusion models see. */
  readonly scaled?: boolean;
  /** Only with `scaled`: instead of the published factor. */
  readonly scalingFactor?: number;
  readonly tiled?: boolean;
  /** Bytes that the process may take. */
  readonly maxMemory?: number;
  /** Adaptive models: number of channels that are computed. */
  readonly latentChannels?: number;
  /** SD-VAE: draw from the distribution instead of taking its mean. */
  readonly sample?: boolean;
  /** Only with `sample`. */
  readonly seed?: bigint;
}

export interface Codec {
  /**
   * [N, C, H, W] in [-1, 1] to [N, L, h, w].
   *
   * @param names one per picture; with `sample` they choose the noise, so that it depends on neither order nor batches
   */
  encode(x: Tensor, names: readonly string[]): Promise<Tensor>;
  /** [N, L, h, w] to [N, C, H, W], not clamped. */
  decode(latent: Tensor): Promise<Tensor>;
  /** decode(encode(x)); refused before it begins where either doesn't fit the memory. */
  reconstruct(x: Tensor): Promise<Tensor>;
}

/** What the command line takes beside the model and its tensors: this package, sharp, the files being read and written. */
const COMMAND_BYTES = 60e6;
/** Decoded pictures with 8 bits per channel, as they come from files and go to them. */
const BYTES_PER_PIXEL = 8;

/** What can be refused before a model is loaded. */
export function checkCodecFlags({ scaled, scalingFactor, sample, seed, tiled, maxMemory }: CodecFlags): void {
  if (maxMemory !== undefined && tiled === true) {
    throw new UsageError(
      "--max-memory and --tiled exclude each other: the first has exact tiles, the second blended ones",
    );
  }
  if (scalingFactor !== undefined && scaled !== true) {
    throw new UsageError("--scaling-factor has no effect without --scaled");
  }
  if (seed !== undefined && sample !== true) {
    throw new UsageError("--seed has no effect without --sample: encoding is deterministic");
  }
}

/** @throws UsageError for options that the model doesn't have */
export function createCodec(model: Model, flags: CodecFlags, signal: AbortSignal): Codec {
  checkCodecFlags(flags);
  if (flags.scaled === true && model.scalingFactor === null) {
    throw new UsageError(`--scaled: no scaling factor is known for ${model.name}`, {
      hint: "Give it with --scaling-factor (1 / RMS of the latents of your data).",
    });
  }
  const codec = model.kind === "dc-ae" ? dcCodec(model, flags) : klCodec(model, flags);
  return {
    encode: (x, names) => unlessInterrupted(codec.encode(x, names), signal),
    decode: (latent) => unlessInterrupted(codec.decode(latent), signal),
    reconstruct: (x) => unlessInterrupted(codec.reconstruct(x), signal),
  };
}

function dcCodec(model: Extract<Model, { kind: "dc-ae" }>, flags: CodecFlags): Codec {
  const { scaled = false, tiled = false, latentChannels, sample, maxMemory } = flags;
  if (sample === true) {
    throw new UsageError(`--sample has no effect on ${model.name}: a DC-AE gives one latent, not a distribution`);
  }
  if (latentChannels !== undefined) checkLatentChannels(model, latentChannels);
  const options = { scaled, ...(tiled ? { tiling: DEFAULT_TILING } : {}) };
  const channels = latentChannels === undefined ? {} : { latentChannels };
  const limit = (pixels: number) =>
    maxMemory === undefined ? {} : { maxMemory, reserved: COMMAND_BYTES + BYTES_PER_PIXEL * pixels };
  const pixelsOf = ({ shape }: Tensor, scale = 1) => (shape[0] as number) * sizeOf(shape.slice(-2)) * scale ** 2;
  const codec = {
    encode: (x: Tensor) => model.encode(x, { ...options, ...channels, ...limit(pixelsOf(x)) }),
    decode: (latent: Tensor) => model.decode(latent, { ...options, ...limit(pixelsOf(latent, model.compression)) }),
    async reconstruct(x: Tensor) {
      if (maxMemory !== undefined) {
        const shape = model.latentShape(x.shape as unknown as readonly [number, number, number, number]);
        model.planMemory("decode", shape, { maxMemory, ...limit(pixelsOf(x)) });
      }
      return codec.decode(await codec.encode(x));
    },
  };
  return {
    encode: (x) => refusingPictures(() => codec.encode(x)),
    decode: (latent) => refusingPictures(() => codec.decode(latent)),
    reconstruct: (x) => refusingPictures(() => codec.reconstruct(x)),
  };
}

/** A picture that doesn't fit the memory is that picture's problem: others may. */
async function refusingPictures(work: () => Promise<Tensor>): Promise<Tensor> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ConfigError && error.message.startsWith("maxMemory:"))) throw error;
    const hint = "Raise --max-memory, make the picture smaller, or use --tiled, which changes the result.";
    throw new DataError(error.message.replace("maxMemory", "--max-memory"), { hint, cause: error });
  }
}

function checkLatentChannels({ name, config }: Extract<Model, { kind: "dc-ae" }>, channels: number): void {
  const { latentChannels, encoder } = config;
  if (encoder.outBlockType !== "AdaptiveOutputConvLayer") {
    throw new UsageError(`--latent-channels has no effect on ${name}: it isn't adaptive (DC-AE 1.5 is)`);
  }
  if (channels > latentChannels) {
    throw new UsageError(`--latent-channels ${channels}: ${name} has ${latentChannels}`);
  }
}

function klCodec(model: Extract<Model, { kind: "sd-vae" }>, flags: CodecFlags): Codec {
  const { scaled = false, tiled = false, latentChannels, sample = false, seed = 0n, maxMemory } = flags;
  if (maxMemory !== undefined) {
    throw new UsageError(`--max-memory has no effect on ${model.name}: it is for DC-AE`, {
      hint: "Use --tiled, which changes the result.",
    });
  }
  if (latentChannels !== undefined) {
    throw new UsageError(`--latent-channels has no effect on ${model.name}: an SD-VAE isn't adaptive`);
  }
  const codec: Codec = {
    async encode(x, names) {
      const distribution = await model.encode(x, { tiled });
      const latent = sample ? distribution.sample(noise(distribution.mean.shape, seed, names)) : distribution.mode();
      return scaled ? model.scaleLatent(latent) : latent;
    },
    decode: (latent) => model.decode(latent, { scaled, tiled }),
    reconstruct: async (x) => codec.decode(await codec.encode(x, [])),
  };
  return codec;
}

function noise(shape: readonly number[], seed: bigint, names: readonly string[]): Tensor {
  const out = new Float32Array(sizeOf(shape));
  const size = out.length / (shape[0] as number);
  names.forEach((name, index) => {
    createRandom(seed, name).normal(out.subarray(index * size, (index + 1) * size));
  });
  return Tensor.float32(out, shape);
}
