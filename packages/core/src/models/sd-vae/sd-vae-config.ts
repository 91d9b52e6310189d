/**
 * The configuration of SD-VAE (diffusers' `AutoencoderKL`, latent diffusion's `AutoencoderKL` and the DC-AE authors' `SDVAE`;
 * dcae.md section 10), fully resolved.
 *
 * Levels are made of residual blocks, with attention behind each of them in the levels that have it. Level 0 is the full
 * resolution; n levels compress by 2^(n-1).
 */
import { z } from "zod";
import type { ActName } from "../../blocks/block-spec.js";
import { ConfigError } from "../../errors.js";
import { plural } from "../../format-amount.js";
import {
  type ConfigIssue,
  diffusersActName,
  type FieldNamer,
  modelKeys,
  parseBySchema,
  parseDiffusersAct,
  quote,
  throwConfigIssues,
} from "../config-issues.js";

/** The architecture of an SD-VAE and its relatives (`AutoencoderKL`). */
export interface SdVaeConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  /** Channels of the latent; the encoder gives twice as many (mean and log variance). */
  readonly latentChannels: number;
  /** Channels per level, level 0 = full resolution, for both ends. */
  readonly blockOutChannels: readonly number[];
  /** Residual blocks per level of the encoder; the decoder has one more. */
  readonly layersPerBlock: number;
  readonly normNumGroups: number;
  readonly act: ActName;
  /** Whether a 1x1 convolution follows the encoder. */
  readonly useQuantConv: boolean;
  /** Whether a 1x1 convolution precedes the decoder. */
  readonly usePostQuantConv: boolean;
  /** Whether the middle has attention between its two residual blocks. */
  readonly midBlockAddAttention: boolean;
  /** Levels of the encoder with attention behind each residual block, ascending, 0 = full resolution. */
  readonly encoderAttentionLevels: readonly number[];
  /** The same for the decoder, counted from the full resolution as well. */
  readonly decoderAttentionLevels: readonly number[];
  /** Side of a tile, in pixels; only tiling uses it, and the official form, which counts attention by it (`toLdmConfig`). */
  readonly sampleSize: number;
}

/** An SD-VAE's configuration in which everything has a default. */
export type SdVaeConfigInput = Partial<SdVaeConfig>;

const count = (limit: number) => {
  const error = `must be a positive integer of at most ${limit}`;
  return z.int({ error }).min(1, { error }).max(limit, { error });
};
const flag = z.boolean({ error: "must be true or false" });

const levels = z
  .array(
    z.int({ error: "must be a level, 0 = full resolution" }).min(0, { error: "must be a level, 0 = full resolution" }),
    {
      error: "must be a list of levels",
    },
  )
  .max(16, { error: "must have at most 16 levels" })
  .default([]);

const schema = z.strictObject({
  inChannels: count(65_536).default(3),
  outChannels: count(65_536).default(3),
  latentChannels: count(32_768).default(4),
  blockOutChannels: z
    .array(count(65_536), { error: "must be a list with one number per level" })
    .min(1, { error: "must have at least one level" })
    .max(16, { error: "must have at most 16 levels" })
    .default([128, 256, 512, 512]),
  layersPerBlock: count(1024).default(2),
  normNumGroups: count(65_536).default(32),
  act: z
    .enum(["silu", "gelu_erf", "mish", "relu"], { error: "must be one of silu, gelu_erf, mish, relu" })
    .default("silu"),
  useQuantConv: flag.default(true),
  usePostQuantConv: flag.default(true),
  midBlockAddAttention: flag.default(true),
  encoderAttentionLevels: levels,
  decoderAttentionLevels: levels,
  sampleSize: count(1_048_576).default(256),
});

/**
 * A checked configuration; what is left out is as in `stabilityai/sd-vae-ft-ema`.
 *
 * @throws ConfigError naming each wrong field, its value and what is allowed
 */
export function resolveSdVaeConfig(input: SdVaeConfigInput): SdVaeConfig {
  return buildSdVaeConfig(input, "SD-VAE config", (path) => path);
}

/** `resolveSdVaeConfig` for input of unknown form, which may come from a file with its own names. */
export function buildSdVaeConfig(input: unknown, subject: string, nameOf: FieldNamer): SdVaeConfig {
  const config = parseBySchema(schema, input, subject, nameOf);
  const issues: ConfigIssue[] = config.blockOutChannels.flatMap((channels, level) =>
    channels % config.normNumGroups === 0
      ? []
      : [
          {
            path: `blockOutChannels[${level}]`,
            problem: `is ${channels} but must be a multiple of the ${config.normNumGroups} normalization groups`,
          },
        ],
  );
  for (const path of ["encoderAttentionLevels", "decoderAttentionLevels"] as const) {
    const deepest = config.blockOutChannels.length - 1;
    const wrong = config[path].find((level, i, all) => level > deepest || level <= (all[i - 1] ?? -1));
    if (wrong === undefined) continue;
    issues.push({ path, problem: `is ${quote(config[path])} but must be ascending levels of at most ${deepest}` });
  }
  if (issues.length > 0) throwConfigIssues(subject, issues, nameOf);
  return config;
}

/** How many picture pixels one latent position spans along each axis (8 for SD-VAE-f8). */
export function sdVaeSpatialCompression(config: SdVaeConfig): number {
  return 2 ** (config.blockOutChannels.length - 1);
}

// SD-VAE configurations as diffusers' `AutoencoderKL` writes them (dcae.md section 10).
//
// Read and written are levels with and without attention, and the options. Statistics per channel, which change the numbers and
// aren't built here, are refused.

const fieldNames: Readonly<Record<string, string>> = {
  inChannels: "in_channels",
  outChannels: "out_channels",
  latentChannels: "latent_channels",
  blockOutChannels: "block_out_channels",
  layersPerBlock: "layers_per_block",
  normNumGroups: "norm_num_groups",
  act: "act_fn",
  useQuantConv: "use_quant_conv",
  usePostQuantConv: "use_post_quant_conv",
  midBlockAddAttention: "mid_block_add_attention",
  sampleSize: "sample_size",
};

function nameInFile(path: string): string {
  const [, field = path, rest = ""] = /^([^[]+)(.*)$/.exec(path) ?? [];
  return (fieldNames[field] ?? field) + rest;
}

/** Names of a level in each half, without attention and with it. */
export const DOWN_BLOCKS = ["DownEncoderBlock2D", "AttnDownEncoderBlock2D"] as const;
export const UP_BLOCKS = ["UpDecoderBlock2D", "AttnUpDecoderBlock2D"] as const;

/** Schema of a list of these names. */
export const levelTypes = (types: readonly [string, string]) => {
  const known = types.map(quote).join(" or ");
  return z
    .array(z.enum(types, { error: `must be ${known}: no other kind of level is supported` }), {
      error: `must be a list of ${known}`,
    })
    .default([types[0]]);
};
/** Schema of `scaling_factor`, with the default of the classes. */
export const scalingFactorKey = z
  .number({ error: "must be a positive number" })
  .positive("must be a positive number")
  .default(0.18215);
const noStatistics = z.null({ error: "must be null: statistics per channel are not supported" }).default(null);

/** Keys with the class's defaults. Most values are checked with the configuration that results. */
const diffusersSchema = z.strictObject({
  in_channels: z.unknown().default(3),
  out_channels: z.unknown().default(3),
  latent_channels: z.unknown().default(4),
  block_out_channels: z.unknown().default([64]),
  layers_per_block: z.unknown().default(1),
  norm_num_groups: z.unknown().default(32),
  act_fn: z.string({ error: "must be a string" }).default("silu"),
  down_block_types: levelTypes(DOWN_BLOCKS),
  up_block_types: levelTypes(UP_BLOCKS),
  sample_size: z.unknown().default(32),
  use_quant_conv: z.unknown().default(true),
  use_post_quant_conv: z.unknown().default(true),
  mid_block_add_attention: z.unknown().default(true),
  scaling_factor: scalingFactorKey,
  shift_factor: z.number({ error: "must be a number or null" }).nullable().default(null),
  // Only about half precision on GPUs.
  force_upcast: z.boolean({ error: "must be true or false" }).default(true),
  latents_mean: noStatistics,
  latents_std: noStatistics,
});

/** A configuration, and the statistics that go from its latents to those of a diffusion model: (z - shift) * scaling. */
interface DiffusersKl {
  readonly config: SdVaeConfig;
  readonly scalingFactor: number;
  readonly shiftFactor: number | null;
}

/**
 * Reads an `AutoencoderKL` configuration. Keys with a leading underscore are ignored; other unknown keys are refused.
 *
 * @param source for messages: the file
 * @throws ConfigError naming each wrong field, its value and what is allowed
 */
export function parseKlConfig(json: unknown, source = "AutoencoderKL config"): DiffusersKl {
  const keys = modelKeys(json, "AutoencoderKL", source);
  const file = parseBySchema(diffusersSchema, keys, source);
  const input = {
    inChannels: file.in_channels,
    outChannels: file.out_channels,
    latentChannels: file.latent_channels,
    blockOutChannels: file.block_out_channels,
    layersPerBlock: file.layers_per_block,
    normNumGroups: file.norm_num_groups,
    act: parseDiffusersAct(file.act_fn, "act_fn", source),
    useQuantConv: file.use_quant_conv,
    usePostQuantConv: file.use_post_quant_conv,
    midBlockAddAttention: file.mid_block_add_attention,
    sampleSize: file.sample_size,
  };
  const plain = buildSdVaeConfig(input, source, nameInFile);
  const widths = { names: "block_out_channels", count: plain.blockOutChannels.length };
  const config: SdVaeConfig = {
    ...plain,
    encoderAttentionLevels: attendingLevels("down_block_types", file.down_block_types, widths, source),
    decoderAttentionLevels: attendingLevels("up_block_types", file.up_block_types, widths, source),
  };
  return { config, scalingFactor: file.scaling_factor, shiftFactor: file.shift_factor };
}

/**
 * The levels of a half with attention, counted from the full resolution, from the names of its levels in a file.
 *
 * @param key of the file: which half
 * @param widths the key with the levels' widths, and how many there are
 * @throws ConfigError where there is not one name for each width
 */
export function attendingLevels(
  key: "down_block_types" | "up_block_types",
  types: readonly string[],
  widths: { readonly names: string; readonly count: number },
  source: string,
): number[] {
  if (types.length !== widths.count) {
    throw new ConfigError(
      `${source}: ${key} has ${plural(types.length, "entry", "entries")} but must have ${widths.count}, one per entry of ${widths.names}`,
    );
  }
  const [down, up] = [DOWN_BLOCKS[1], UP_BLOCKS[1]];
  // The file counts the decoder's levels from the deepest.
  const fromFull = key === "down_block_types" ? types : [...types].reverse();
  return fromFull.flatMap((type, level) => (type === down || type === up ? [level] : []));
}

/**
 * The config.json of this model in diffusers' form. Options that have the class's default are left out where the published
 * files lack them too.
 *
 * @param scaling null (not known) is written as the class's default
 * @throws ConfigError when the activation has no name in diffusers
 */
export function toKlConfig(
  config: SdVaeConfig,
  scaling: { readonly scalingFactor: number | null; readonly shiftFactor?: number | null },
): Record<string, unknown> {
  const act = diffusersActName(config.act);
  if (act === undefined) {
    throw new ConfigError(`not expressible as a diffusers AutoencoderKL: act is ${quote(config.act)}`);
  }
  const { scalingFactor, shiftFactor = null } = scaling;
  return {
    _class_name: "AutoencoderKL",
    in_channels: config.inChannels,
    out_channels: config.outChannels,
    latent_channels: config.latentChannels,
    down_block_types: blockTypes(config.blockOutChannels, config.encoderAttentionLevels, DOWN_BLOCKS),
    up_block_types: blockTypes(config.blockOutChannels, config.decoderAttentionLevels, UP_BLOCKS).reverse(),
    block_out_channels: [...config.blockOutChannels],
    layers_per_block: config.layersPerBlock,
    act_fn: act,
    norm_num_groups: config.normNumGroups,
    sample_size: config.sampleSize,
    ...(scalingFactor === null ? {} : { scaling_factor: scalingFactor }),
    ...(shiftFactor === null ? {} : { shift_factor: shiftFactor }),
    ...(config.useQuantConv ? {} : { use_quant_conv: false }),
    ...(config.usePostQuantConv ? {} : { use_post_quant_conv: false }),
    ...(config.midBlockAddAttention ? {} : { mid_block_add_attention: false }),
  };
}

/** The names of a half's levels, counted from the full resolution. */
export function blockTypes(
  blockOutChannels: readonly number[],
  attending: readonly number[],
  [plain, withAttention]: readonly [string, string],
): string[] {
  return blockOutChannels.map((_, level) => (attending.includes(level) ? withAttention : plain));
}
