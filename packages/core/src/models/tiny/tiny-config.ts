/**
 * The configuration of a tiny autoencoder, and the same as diffusers' `AutoencoderTiny` writes it.
 *
 * Wider than the class of diffusers: the original networks have more forms (pooled blocks in the deepest level, a stem of strided
 * convolutions, levels of different width), and a checkpoint may hold only one half.
 */
import { z } from "zod";
import { ACT_NAMES, type ActName } from "../../blocks/block-spec.js";
import { ConfigError } from "../../errors.js";
import { plural } from "../../format-amount.js";
import type { Tensor } from "../../graph/tensor.js";
import { diffusersActName, modelKeys, parseBySchema, parseDiffusersAct, quote } from "../config-issues.js";
import type { LatentScaling, ModelPartName } from "../family.js";

/** Blocks that follow each other at one resolution. */
export interface TinyLevel {
  readonly channels: number;
  readonly blocks: number;
  /** Whether each block begins with a pool: 1x1 convolutions around a norm over the whole picture. */
  readonly pool: boolean;
}

/** The architecture of a tiny autoencoder. */
export interface TinyConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly latentChannels: number;
  /** Inside of blocks and after first convolutions. The end of a block is always a ReLU. */
  readonly act: ActName;
  /** Null where only the decoder is there. */
  readonly encoder: {
    /** Channels of strided convolutions before the first level; empty where one of stride 1 stands there. */
    readonly stem: readonly number[];
    /** From the finest to the deepest. */
    readonly levels: readonly TinyLevel[];
  } | null;
  /** Null where only the encoder is there. */
  readonly decoder: {
    /** From the deepest to the finest. */
    readonly levels: readonly TinyLevel[];
  } | null;
  /** Latents within +-`latentMagnitude`, shifted by `latentShift`, become [0, 1], for files of 8 bits (`toUnitRange`). */
  readonly latentMagnitude: number;
  readonly latentShift: number;
}

type Encoder = NonNullable<TinyConfig["encoder"]>;
type Decoder = NonNullable<TinyConfig["decoder"]>;
const compressionOfEncoder = ({ stem, levels }: Encoder) => 2 ** (stem.length + levels.length - 1);
const compressionOfDecoder = ({ levels }: Decoder) => 2 ** (levels.length - 1);

/** Pixels per latent position along each axis: 8 for most, 32 for TAESANA. */
export function tinyCompression({ encoder, decoder }: TinyConfig): number {
  return encoder === null ? compressionOfDecoder(decoder as Decoder) : compressionOfEncoder(encoder);
}

const count = (limit: number, least = 1) => {
  const error = `must be an integer from ${least} to ${limit}`;
  return z.int({ error }).min(least, { error }).max(limit, { error });
};
const perLevel = (entry: z.ZodType<number>) => {
  const error = "must be a list of 1 to 16 entries, one per level";
  return z.array(entry, { error }).min(1, { error }).max(16, { error });
};
const level = z.strictObject({
  channels: count(65_536),
  blocks: count(1024, 0),
  pool: z.boolean({ error: "must be true or false" }),
});
const levels = z
  .array(level, { error: "must be a list of 1 to 16 levels" })
  .min(1, { error: "must have at least one level" })
  .max(16, { error: "must have at most 16 levels" });
const positive = z.number({ error: "must be a positive number" }).positive("must be a positive number");
const shift = z.number({ error: "must be a number" });
const widths = perLevel(count(65_536)).default([64, 64, 64, 64]);

const configSchema = z.strictObject({
  inChannels: count(65_536),
  outChannels: count(65_536),
  latentChannels: count(65_536),
  act: z.enum(ACT_NAMES, { error: `must be one of ${ACT_NAMES.join(", ")}` }),
  encoder: z
    .strictObject({ stem: z.array(count(65_536), { error: "must be a list of widths" }).max(16), levels })
    .nullable(),
  decoder: z.strictObject({ levels }).nullable(),
  latentMagnitude: positive,
  latentShift: shift,
});

/**
 * Checks a configuration, as it stands in the official layout's config.json.
 *
 * @throws ConfigError naming each wrong field, its value and what is allowed; where encoder and decoder disagree, or both lack
 */
export function readTinyConfig(json: unknown, source = "TAESD config"): TinyConfig {
  const config = parseBySchema(configSchema, json, source);
  if (config.encoder === null && config.decoder === null) {
    throw new ConfigError(`${source}: encoder and decoder are both null`);
  }
  checkHalves(config, source);
  return config;
}

/** @throws ConfigError, or what `fail` makes of the message, where encoder and decoder don't fit each other */
export function checkHalves(
  config: TinyConfig,
  source: string,
  fail: (message: string) => Error = (message) => new ConfigError(message),
): void {
  const { encoder, decoder } = config;
  if (encoder === null || decoder === null) return;
  const down = compressionOfEncoder(encoder);
  const up = compressionOfDecoder(decoder);
  if (down === up) return;
  throw fail(
    `${source}: the encoder makes latents of 1/${down} of the picture's sides, the decoder pictures of ${up} times the latent's: they are not of one model`,
  );
}

/** Keys with the class's defaults. */
const schema = z.strictObject({
  in_channels: count(65_536).default(3),
  out_channels: count(65_536).default(3),
  encoder_block_out_channels: widths,
  decoder_block_out_channels: widths,
  act_fn: z.string({ error: "must be a string" }).default("relu"),
  upsample_fn: z
    .literal("nearest", { error: 'must be "nearest": no other way of enlarging is supported' })
    .default("nearest"),
  upsampling_scaling_factor: z
    .literal(2, { error: "must be 2: every level of the encoder halves the picture" })
    .default(2),
  latent_channels: count(65_536).default(4),
  num_encoder_blocks: perLevel(count(1024, 0)).default([1, 3, 3, 3]),
  num_decoder_blocks: perLevel(count(1024, 0)).default([3, 3, 3, 1]),
  latent_magnitude: positive.default(3),
  latent_shift: shift.default(0.5),
  scaling_factor: positive.default(1),
  shift_factor: shift.nullable().default(0),
  // About half precision on GPUs, tiles, and a name that the class keeps for others: none changes the numbers.
  force_upcast: z.unknown().optional(),
  sample_size: z.unknown().optional(),
  block_out_channels: z.unknown().optional(),
});

/**
 * Reads an `AutoencoderTiny` configuration. Keys with a leading underscore are ignored; other unknown keys are refused.
 *
 * @param source for messages: the file
 * @throws ConfigError naming each wrong field, its value and what is allowed
 */
export function parseTinyConfig(
  json: unknown,
  source = "AutoencoderTiny config",
): { readonly config: TinyConfig } & LatentScaling {
  const keys = modelKeys(json, "AutoencoderTiny", source);
  const file = parseBySchema(schema, keys, source);
  const levelsOf = (part: ModelPartName): TinyLevel[] => {
    const [channels, blocks] = [file[`${part}_block_out_channels`], file[`num_${part}_blocks`]];
    if (channels.length !== blocks.length) {
      throw new ConfigError(
        `${source}: num_${part}_blocks has ${plural(blocks.length, "entry", "entries")} but must have ${channels.length}, one per entry of ${part}_block_out_channels`,
      );
    }
    // The class joins levels by convolutions that keep the width.
    if (new Set(channels).size > 1) {
      throw new ConfigError(
        `${source}: ${part}_block_out_channels is ${quote(channels)} but must be the same for all levels`,
      );
    }
    return channels.map((width, i) => ({ channels: width, blocks: blocks[i] as number, pool: false }));
  };
  const config: TinyConfig = {
    inChannels: file.in_channels,
    outChannels: file.out_channels,
    latentChannels: file.latent_channels,
    act: parseDiffusersAct(file.act_fn, "act_fn", source),
    encoder: { stem: [], levels: levelsOf("encoder") },
    decoder: { levels: levelsOf("decoder") },
    latentMagnitude: file.latent_magnitude,
    latentShift: file.latent_shift,
  };
  checkHalves(config, source);
  return { config, scalingFactor: file.scaling_factor, shiftFactor: file.shift_factor };
}

/**
 * The config.json of this model as diffusers' `AutoencoderTiny`.
 *
 * @throws ConfigError naming what the class can't express
 */
export function toTinyConfig(config: TinyConfig, scaling: LatentScaling): Record<string, unknown> {
  const { encoder, decoder } = config;
  const act = diffusersActName(config.act);
  const cannot = (what: string) => new ConfigError(`not expressible as a diffusers AutoencoderTiny: ${what}`);
  if (act === undefined) throw cannot(`act is ${quote(config.act)}`);
  if (encoder === null || decoder === null) throw cannot(`it has no ${encoder === null ? "encoder" : "decoder"}`);
  if (encoder.stem.length > 0) throw cannot("its encoder begins with strided convolutions");
  for (const { levels } of [encoder, decoder]) {
    if (levels.some(({ pool }) => pool)) throw cannot("it has blocks with pools");
    if (new Set(levels.map(({ channels }) => channels)).size > 1) throw cannot("its levels differ in width");
  }
  const widthsOf = (levels: readonly TinyLevel[]) => levels.map(({ channels }) => channels);
  return {
    _class_name: "AutoencoderTiny",
    in_channels: config.inChannels,
    out_channels: config.outChannels,
    encoder_block_out_channels: widthsOf(encoder.levels),
    decoder_block_out_channels: widthsOf(decoder.levels),
    act_fn: act,
    upsample_fn: "nearest",
    latent_channels: config.latentChannels,
    upsampling_scaling_factor: 2,
    num_encoder_blocks: encoder.levels.map(({ blocks }) => blocks),
    num_decoder_blocks: decoder.levels.map(({ blocks }) => blocks),
    latent_magnitude: config.latentMagnitude,
    latent_shift: config.latentShift,
    force_upcast: false,
    scaling_factor: scaling.scalingFactor ?? 1,
    shift_factor: scaling.shiftFactor ?? 0,
  };
}

/** Latents as values of pictures, in [0, 1]: z / (2 magnitude) + shift, clamped. diffusers' `scale_latents`. */
export function tinyToUnitRange(latent: Tensor, { latentMagnitude, latentShift }: TinyConfig): Tensor {
  return latent.cast("float32").map((z) => Math.min(Math.max(z / (2 * latentMagnitude) + latentShift, 0), 1));
}

/** The inverse of `tinyToUnitRange`, but for what was clamped. diffusers' `unscale_latents`. */
export function tinyFromUnitRange(unit: Tensor, { latentMagnitude, latentShift }: TinyConfig): Tensor {
  return unit.cast("float32").map((value) => (value - latentShift) * 2 * latentMagnitude);
}
