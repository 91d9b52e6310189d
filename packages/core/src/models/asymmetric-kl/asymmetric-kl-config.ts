/**
 * The configuration of an asymmetric SD-VAE, and the same as diffusers' `AsymmetricAutoencoderKL` writes it.
 *
 * Its halves are those of an SD-VAE, each with widths and a number of blocks of its own. Everything else that an SD-VAE can be
 * asked for is as in the first ones: 1x1 convolutions around the latent, attention in the middle.
 */
import { z } from "zod";
import type { ActName } from "../../blocks/block-spec.js";
import { ConfigError } from "../../errors.js";
import { diffusersActName, modelKeys, parseBySchema, parseDiffusersAct, quote } from "../config-issues.js";
import type { LatentScaling, ModelPartName } from "../family.js";
import {
  attendingLevels,
  blockTypes,
  buildSdVaeConfig,
  DOWN_BLOCKS,
  levelTypes,
  type SdVaeConfig,
  scalingFactorKey,
  UP_BLOCKS,
} from "../sd-vae/sd-vae-config.js";

/** What one half of an asymmetric SD-VAE has. */
export interface AsymmetricKlHalf {
  /** Channels per level, level 0 = full resolution. */
  readonly blockOutChannels: readonly number[];
  /** Residual blocks per level of the encoder; a decoder has one more. */
  readonly layersPerBlock: number;
  /** Levels with attention behind each residual block, ascending, 0 = full resolution. */
  readonly attentionLevels: readonly number[];
}

/** The architecture of an asymmetric SD-VAE (`AsymmetricAutoencoderKL`). */
export interface AsymmetricKlConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  /** Channels of the latent; the encoder gives twice as many (mean and log variance). */
  readonly latentChannels: number;
  readonly encoder: AsymmetricKlHalf;
  readonly decoder: AsymmetricKlHalf;
  readonly normNumGroups: number;
  readonly act: ActName;
  /** Side of a tile, in pixels; only tiling uses it. */
  readonly sampleSize: number;
}

/** The SD-VAE that has such a half: its other one is of no interest. */
export function halfOf(config: AsymmetricKlConfig, part: ModelPartName): SdVaeConfig {
  const { inChannels, outChannels, latentChannels, normNumGroups, act, sampleSize } = config;
  const { blockOutChannels, layersPerBlock, attentionLevels } = config[part];
  return {
    inChannels,
    outChannels,
    latentChannels,
    blockOutChannels,
    layersPerBlock,
    normNumGroups,
    act,
    useQuantConv: true,
    usePostQuantConv: true,
    midBlockAddAttention: true,
    encoderAttentionLevels: part === "encoder" ? attentionLevels : [],
    decoderAttentionLevels: part === "decoder" ? attentionLevels : [],
    sampleSize,
  };
}

/** Levels of the condition's features, and so the most that a decoder can have. */
const CONDITION_LEVELS = 4;

/**
 * Widths of the five layers of the condition's encoder: they double from the decoder's first width to its deepest. Two see the full
 * resolution, each of the others half the one before it.
 */
export function conditionWidths({ decoder: { blockOutChannels } }: Pick<AsymmetricKlConfig, "decoder">): number[] {
  const [first, deepest] = [blockOutChannels[0] as number, blockOutChannels.at(-1) as number];
  return [...[1, 2, 4, 8].map((factor) => Math.min(first * factor, deepest)), deepest];
}

/** What keeps the features of a condition from fitting a decoder's; undefined where they do. */
function conditionMisfit(decoder: AsymmetricKlHalf): string | undefined {
  const widths = decoder.blockOutChannels;
  const given = conditionWidths({ decoder });
  if (widths.length > CONDITION_LEVELS) return `has ${widths.length} levels but must have at most ${CONDITION_LEVELS}`;
  // At each level come the features of the next deeper one, enlarged, and at the end those of the last one.
  const fits = widths.every((_, level) => {
    const own = widths[Math.min(level + 1, widths.length - 1)] as number;
    return level === 0 ? [given[0], given[1]].includes(own) : given[level + 1] === own;
  });
  if (fits && widths[0] === given[0]) return undefined;
  return `is ${quote(widths)} but must double from level to level until the deepest: a picture and a mask must fit them`;
}

/** Keys with the class's defaults. Most values are checked with the configuration that results. */
const schema = z.strictObject({
  in_channels: z.unknown().default(3),
  out_channels: z.unknown().default(3),
  latent_channels: z.unknown().default(4),
  down_block_types: levelTypes(DOWN_BLOCKS),
  down_block_out_channels: z.unknown().default([64]),
  layers_per_down_block: z.unknown().default(1),
  up_block_types: levelTypes(UP_BLOCKS),
  up_block_out_channels: z.unknown().default([64]),
  layers_per_up_block: z.unknown().default(1),
  norm_num_groups: z.unknown().default(32),
  act_fn: z.string({ error: "must be a string" }).default("silu"),
  sample_size: z.unknown().default(32),
  scaling_factor: scalingFactorKey,
  // The class adds these to what it was given: the decoder's widths again, and what concerns half precision on GPUs.
  block_out_channels: z.unknown().optional(),
  force_upcast: z.boolean({ error: "must be true or false" }).optional(),
});

/** Names in a file of what differs between the halves. */
const HALF_NAMES = {
  encoder: { blockOutChannels: "down_block_out_channels", layersPerBlock: "layers_per_down_block" },
  decoder: { blockOutChannels: "up_block_out_channels", layersPerBlock: "layers_per_up_block" },
} as const;

const SHARED_NAMES: Readonly<Record<string, string>> = {
  inChannels: "in_channels",
  outChannels: "out_channels",
  latentChannels: "latent_channels",
  normNumGroups: "norm_num_groups",
  act: "act_fn",
  sampleSize: "sample_size",
};

/**
 * Reads an `AsymmetricAutoencoderKL` configuration. Keys with a leading underscore are ignored; other unknown keys are refused.
 *
 * @param source for messages: the file
 * @throws ConfigError naming each wrong field, its value and what is allowed
 */
export function parseAsymmetricKlConfig(
  json: unknown,
  source = "AsymmetricAutoencoderKL config",
): { readonly config: AsymmetricKlConfig } & LatentScaling {
  const keys = modelKeys(json, "AsymmetricAutoencoderKL", source);
  const file = parseBySchema(schema, keys, source);
  const act = parseDiffusersAct(file.act_fn, "act_fn", source);
  const half = (part: ModelPartName, blockOutChannels: unknown, layersPerBlock: unknown) => {
    const input = {
      inChannels: file.in_channels,
      outChannels: file.out_channels,
      latentChannels: file.latent_channels,
      normNumGroups: file.norm_num_groups,
      sampleSize: file.sample_size,
      act,
      blockOutChannels,
      layersPerBlock,
    };
    const names: Readonly<Record<string, string>> = { ...SHARED_NAMES, ...HALF_NAMES[part] };
    return buildSdVaeConfig(input, source, (path) => path.replace(/^\w+/, (field) => names[field] ?? field));
  };
  const encoder = half("encoder", file.down_block_out_channels, file.layers_per_down_block);
  const decoder = half("decoder", file.up_block_out_channels, file.layers_per_up_block);
  const [down, up] = [encoder.blockOutChannels.length, decoder.blockOutChannels.length];
  const attentionLevels = (key: "down_block_types" | "up_block_types", names: string, count: number) =>
    attendingLevels(key, file[key], { names, count }, source);
  if (down !== up) {
    throw new ConfigError(
      `${source}: down_block_out_channels has ${down} levels and up_block_out_channels ${up}, but both must have as many: ` +
        "pictures would come back in another size",
    );
  }
  const { inChannels, outChannels, latentChannels, normNumGroups, sampleSize } = encoder;
  if (inChannels !== outChannels) {
    throw new ConfigError(
      `${source}: in_channels is ${inChannels} and out_channels ${outChannels}, but the picture to fill in is what was encoded`,
    );
  }
  const config: AsymmetricKlConfig = {
    inChannels,
    outChannels,
    latentChannels,
    encoder: {
      blockOutChannels: encoder.blockOutChannels,
      layersPerBlock: encoder.layersPerBlock,
      attentionLevels: attentionLevels("down_block_types", HALF_NAMES.encoder.blockOutChannels, down),
    },
    decoder: {
      blockOutChannels: decoder.blockOutChannels,
      layersPerBlock: decoder.layersPerBlock,
      attentionLevels: attentionLevels("up_block_types", HALF_NAMES.decoder.blockOutChannels, up),
    },
    normNumGroups,
    act,
    sampleSize,
  };
  const misfit = conditionMisfit(config.decoder);
  if (misfit !== undefined) throw new ConfigError(`${source}: ${HALF_NAMES.decoder.blockOutChannels} ${misfit}`);
  return { config, scalingFactor: file.scaling_factor, shiftFactor: null };
}

/**
 * The config.json of this model in diffusers' form.
 *
 * @param scaling null (not known) is written as the class's default
 * @throws ConfigError for what the class can't express: a shift, an activation that has no name in diffusers
 */
export function toAsymmetricKlConfig(config: AsymmetricKlConfig, scaling: LatentScaling): Record<string, unknown> {
  const refuse = (what: string): never => {
    throw new ConfigError(`not expressible as a diffusers AsymmetricAutoencoderKL: ${what}`);
  };
  const { scalingFactor, shiftFactor } = scaling;
  const act = diffusersActName(config.act) ?? refuse(`act is ${quote(config.act)}`);
  if (shiftFactor !== null && shiftFactor !== 0) refuse(`the shift of the latents is ${shiftFactor}`);
  const { encoder, decoder } = config;
  return {
    _class_name: "AsymmetricAutoencoderKL",
    in_channels: config.inChannels,
    out_channels: config.outChannels,
    latent_channels: config.latentChannels,
    down_block_types: blockTypes(encoder.blockOutChannels, encoder.attentionLevels, DOWN_BLOCKS),
    down_block_out_channels: [...encoder.blockOutChannels],
    layers_per_down_block: encoder.layersPerBlock,
    up_block_types: blockTypes(decoder.blockOutChannels, decoder.attentionLevels, UP_BLOCKS).reverse(),
    up_block_out_channels: [...decoder.blockOutChannels],
    layers_per_up_block: decoder.layersPerBlock,
    act_fn: act,
    norm_num_groups: config.normNumGroups,
    sample_size: config.sampleSize,
    ...(scalingFactor === null ? {} : { scaling_factor: scalingFactor }),
  };
}
