/**
 * SD-VAE configurations as diffusers' `AutoencoderKL` writes them (dcae.md section 10).
 *
 * Read and written are the purely convolutional form and its options. Options that change the numbers and aren't built here
 * (attention inside levels, statistics per channel) are refused.
 */
import { z } from "zod";
import { ConfigError } from "../../errors.js";
import { quote, throwConfigIssues, zodIssues } from "../config-issues.js";
import { diffusersActName, modelKeys, parseDiffusersAct } from "../diffusers-json.js";
import { buildSdVaeConfig, type SdVaeConfig } from "./sd-vae-config.js";

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

const DOWN_BLOCK = "DownEncoderBlock2D";
const UP_BLOCK = "UpDecoderBlock2D";

const levelTypes = (only: string) => {
  const error = `must be a list of ${quote(only)}`;
  return z.array(z.literal(only, { error: `must be ${quote(only)}: no other kind of level is supported` }), { error });
};
const noStatistics = z.null({ error: "must be null: statistics per channel are not supported" }).default(null);

/** Keys with the class's defaults. Most values are checked with the configuration that results. */
const schema = z.strictObject({
  in_channels: z.unknown().default(3),
  out_channels: z.unknown().default(3),
  latent_channels: z.unknown().default(4),
  block_out_channels: z.unknown().default([64]),
  layers_per_block: z.unknown().default(1),
  norm_num_groups: z.unknown().default(32),
  act_fn: z.string({ error: "must be a string" }).default("silu"),
  down_block_types: levelTypes(DOWN_BLOCK).default([DOWN_BLOCK]),
  up_block_types: levelTypes(UP_BLOCK).default([UP_BLOCK]),
  sample_size: z.unknown().default(32),
  use_quant_conv: z.unknown().default(true),
  use_post_quant_conv: z.unknown().default(true),
  mid_block_add_attention: z.unknown().default(true),
  scaling_factor: z
    .number({ error: "must be a positive number" })
    .positive("must be a positive number")
    .default(0.18215),
  shift_factor: z.number({ error: "must be a number or null" }).nullable().default(null),
  // Only about half precision on GPUs.
  force_upcast: z.boolean({ error: "must be true or false" }).default(true),
  latents_mean: noStatistics,
  latents_std: noStatistics,
});

/** A configuration, and the statistics that go from its latents to those of a diffusion model: (z - shift) * scaling. */
export interface DiffusersKl {
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
  const result = schema.safeParse(keys);
  if (!result.success) throwConfigIssues(source, zodIssues(result.error, keys), (path) => path);
  const file = result.data;
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
  const config = buildSdVaeConfig(input, source, nameInFile);
  for (const key of ["down_block_types", "up_block_types"] as const) {
    if (file[key].length !== config.blockOutChannels.length) {
      throw new ConfigError(
        `${source}: ${key} has ${file[key].length} entries but must have ${config.blockOutChannels.length}, one per entry of block_out_channels`,
      );
    }
  }
  return { config, scalingFactor: file.scaling_factor, shiftFactor: file.shift_factor };
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
    down_block_types: config.blockOutChannels.map(() => DOWN_BLOCK),
    up_block_types: config.blockOutChannels.map(() => UP_BLOCK),
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
