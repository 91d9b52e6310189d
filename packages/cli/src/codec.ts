/** A model as the functions that commands call, with the options that they were given. */

import { ConfigError, DataError, type Tensor } from "@dcae/core";
import { sizeOf } from "@dcae/core/graph";
import type { Communicator } from "@dcae/core/internal";
import { unlessAborted } from "@dcae/core/internal";
import { familyOf } from "@dcae/core/models";
import { pictureNoise } from "@dcae/diffusion/internal";
import { UsageError } from "./errors.js";
import type { Model } from "./options/engine-options.js";

export interface CodecFlags {
  /** Latents in the scale that diffusion models see. */
  readonly scaled?: boolean;
  /** Only with `scaled`: instead of the published factor. */
  readonly scalingFactor?: number;
  /** Only with `scaled`: instead of the published shift. */
  readonly shiftFactor?: number;
  readonly tiled?: boolean;
  /** Bytes that the process may take. */
  readonly maxMemory?: number;
  /** Adaptive models: number of channels that are computed. */
  readonly latentChannels?: number;
  /** Models that encode to a distribution, as SD-VAE: draw from the distribution instead of taking its mean. */
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
export function checkCodecFlags(flags: CodecFlags): void {
  const { scaled, scalingFactor, shiftFactor, sample, seed, tiled, maxMemory } = flags;
  if (maxMemory !== undefined && tiled === true) {
    throw new UsageError(
      "--max-memory and --tiled exclude each other: the first has exact tiles, the second blended ones",
    );
  }
  if (scalingFactor !== undefined && scaled !== true) {
    throw new UsageError("--scaling-factor has no effect without --scaled");
  }
  if (shiftFactor !== undefined && scaled !== true) {
    throw new UsageError("--shift-factor has no effect without --scaled");
  }
  if (seed !== undefined && sample !== true) {
    throw new UsageError("--seed has no effect without --sample: encoding is deterministic");
  }
}

/** @throws UsageError for options that the model doesn't have */
export function createCodec(model: Model, flags: CodecFlags, signal: AbortSignal, ranks?: Communicator): Codec {
  checkCodecFlags(flags);
  if (flags.scaled === true && model.scalingFactor === null) {
    throw new UsageError(`--scaled: no scaling factor is known for ${model.name}`, {
      hint: "Give it with --scaling-factor (1 / RMS of the latents of your data).",
    });
  }
  checkModelFlags(model, flags);
  const { scaled = false, tiled = false, latentChannels, sample = false, seed = 0n, maxMemory } = flags;
  const options = { scaled, ranks, ...(tiled ? { tiling: true as const } : {}) };
  const limit = (pixels: number) =>
    maxMemory === undefined ? {} : { maxMemory, reserved: COMMAND_BYTES + BYTES_PER_PIXEL * pixels };
  const pixelsOf = ({ shape }: Tensor, scale = 1) => (shape[0] as number) * sizeOf(shape.slice(-2)) * scale ** 2;
  const shapeOf = (x: Tensor) => model.latentShape(x.shape as unknown as readonly [number, number, number, number]);
  const codec: Codec = {
    encode: (x, names) =>
      model.encodeLatent(x, {
        ...options,
        ...limit(pixelsOf(x)),
        latentChannels,
        noise: sample ? pictureNoise(shapeOf(x), seed, names) : undefined,
      }),
    decode: (latent) => model.decode(latent, { ...options, ...limit(pixelsOf(latent, model.compression)) }),
    async reconstruct(x) {
      if (maxMemory !== undefined) model.planMemory("decode", shapeOf(x), { maxMemory, ...limit(pixelsOf(x)) });
      return codec.decode(await codec.encode(x, []));
    },
  };
  const guarded = (work: () => Promise<Tensor>) => unlessAborted(refusingPictures(work), signal);
  return {
    encode: (x, names) => guarded(() => codec.encode(x, names)),
    decode: (latent) => guarded(() => codec.decode(latent)),
    reconstruct: (x) => guarded(() => codec.reconstruct(x)),
  };
}

/** Options that other models have. */
export function checkModelFlags({ name, description }: Model, { sample, latentChannels }: CodecFlags): void {
  const { label, latent, isAdaptive } = familyOf(description);
  const { config } = description;
  if (sample === true && !latent.isRandom) {
    throw new UsageError(`--sample has no effect on ${name}: a ${label} gives one latent, not a distribution`);
  }
  if (latentChannels === undefined) return;
  if (!isAdaptive(config).encoder) {
    throw new UsageError(`--latent-channels has no effect on ${name}: it isn't adaptive (DC-AE 1.5 is)`);
  }
  if (latentChannels > config.latentChannels) {
    throw new UsageError(`--latent-channels ${latentChannels}: ${name} has ${config.latentChannels}`);
  }
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
