/**
 * SD-VAE configurations as the constructor of the DC-AE authors' `SDVAE` takes them, which are those of latent diffusion
 * (`ddconfig`) under other names. Attention is placed by the side that a level has when the picture has the side `resolution`.
 *
 * The constructor always builds SiLU, attention in the middle, and as many normalization groups as 32 or the width allow; what
 * else there is can't be written. `norm_num_groups` is a key of our own, for narrow models, and absent where it is 32.
 */
import { z } from "zod";
import { ConfigError } from "../../errors.js";
import { parseBySchema, quote } from "../config-issues.js";
import { resolveSdVaeConfig, type SdVaeConfig } from "./sd-vae-config.js";

const count = z.int({ error: "must be a positive integer" }).min(1, { error: "must be a positive integer" });
const only = <const Value extends boolean | number | string>(value: Value) =>
  z.literal(value, { error: `must be ${quote(value)}: nothing else is supported` }).optional();
const runsOnly = z.unknown().optional();

const half = {
  in_channels: z.unknown().optional(),
  latent_channels: z.unknown().optional(),
  ch: count.default(128),
  out_ch: count.default(3),
  ch_mult: z.array(count, { error: "must be a list with one number per level" }).min(1).max(16).default([1, 2, 4]),
  num_res_blocks: count.default(2),
  attn_resolutions: z.array(count, { error: "must be a list of sides in pixels" }).default([]),
  dropout: z.number().optional(),
  resamp_with_conv: only(true),
  resolution: count.default(256),
  attn_type: only("vanilla"),
};

const schema = z.strictObject({
  in_channels: count.default(3),
  latent_channels: count.default(4),
  use_quant_conv: z.boolean({ error: "must be true or false" }).default(true),
  norm_num_groups: count.default(32),
  encoder: z.strictObject({ ...half, double_z: only(true) }).prefault({}),
  decoder: z.strictObject({ ...half, give_pre_end: only(false), tanh_out: only(false) }).prefault({}),
  // About running and loading, not about the model.
  sample_posterior: runsOnly,
  attn_mode: runsOnly,
  pretrained_path: runsOnly,
  pretrained_source: runsOnly,
  load_pretrained_ema: runsOnly,
});

/** What both halves must agree on, since one list of widths describes both. */
const SHARED = ["ch", "ch_mult", "num_res_blocks", "resolution"] as const;

/**
 * @param source for messages: the file
 * @throws ConfigError naming each wrong field, its value and what is allowed
 */
export function parseLdmConfig(json: unknown, source = "SDVAE config"): SdVaeConfig {
  const { encoder, decoder, ...file } = parseBySchema(schema, json, source);
  const different = SHARED.find((key) => JSON.stringify(encoder[key]) !== JSON.stringify(decoder[key]));
  if (different !== undefined) {
    const values = `${quote(encoder[different])} in the encoder and ${quote(decoder[different])} in the decoder`;
    throw new ConfigError(`${source}: ${different} is ${values}, but both halves must have the same`);
  }
  const [first] = encoder.ch_mult;
  if (first !== 1) {
    throw new ConfigError(
      `${source}: encoder.ch_mult[0] is ${first} but must be 1: the first convolution has the width of its level`,
    );
  }
  const levelsWith = (sides: readonly number[], key: string) => {
    const levels = encoder.ch_mult.flatMap((_, level) =>
      sides.includes(sideAt(encoder.resolution, level)) ? [level] : [],
    );
    const none = sides.find((side) => !encoder.ch_mult.some((_, level) => sideAt(encoder.resolution, level) === side));
    if (none === undefined) return levels;
    throw new ConfigError(
      `${source}: ${key}.attn_resolutions has ${none}, but no level has that side at ${encoder.resolution} pixels`,
    );
  };
  return resolveSdVaeConfig({
    inChannels: file.in_channels,
    outChannels: decoder.out_ch,
    latentChannels: file.latent_channels,
    blockOutChannels: encoder.ch_mult.map((factor) => encoder.ch * factor),
    layersPerBlock: encoder.num_res_blocks,
    normNumGroups: file.norm_num_groups,
    useQuantConv: file.use_quant_conv,
    usePostQuantConv: file.use_quant_conv,
    encoderAttentionLevels: levelsWith(encoder.attn_resolutions, "encoder"),
    decoderAttentionLevels: levelsWith(decoder.attn_resolutions, "decoder"),
    sampleSize: encoder.resolution,
  });
}

/** Side of a level's feature map for a picture of side `resolution`. */
function sideAt(resolution: number, level: number): number {
  return Math.floor(resolution / 2 ** level);
}

/**
 * The constructor's values; the inverse of `parseLdmConfig`.
 *
 * @throws ConfigError naming what the constructor has no value for
 */
export function toLdmConfig(config: SdVaeConfig): Record<string, unknown> {
  const { blockOutChannels, sampleSize: resolution } = config;
  const ch = blockOutChannels[0] as number;
  const refuse = (what: string): never => {
    throw new ConfigError(`not expressible in the official format of SD-VAE: ${what}`, {
      hint: "Use the diffusers format.",
    });
  };
  if (config.act !== "silu") refuse(`act is ${quote(config.act)}`);
  if (!config.midBlockAddAttention) refuse("the middle has no attention");
  if (config.useQuantConv !== config.usePostQuantConv)
    refuse("only one of the two 1x1 convolutions around the latent is there");
  const uneven = blockOutChannels.find((channels) => channels % ch !== 0);
  if (uneven !== undefined) refuse(`a level has ${uneven} channels, no multiple of the first level's ${ch}`);
  const sides = blockOutChannels.map((_, level) => sideAt(resolution, level));
  const sidesOf = (levels: readonly number[]) =>
    levels.map((level) => {
      const side = sides[level] as number;
      const isAlone = side > 0 && sides.indexOf(side) === level;
      return isAlone ? side : refuse(`level ${level} has attention, but no side of its own at ${resolution} pixels`);
    });
  const both = {
    ch,
    ch_mult: blockOutChannels.map((channels) => channels / ch),
    num_res_blocks: config.layersPerBlock,
  };
  return {
    in_channels: config.inChannels,
    latent_channels: config.latentChannels,
    use_quant_conv: config.useQuantConv,
    ...(config.normNumGroups === 32 ? {} : { norm_num_groups: config.normNumGroups }),
    encoder: { ...both, attn_resolutions: sidesOf(config.encoderAttentionLevels), resolution },
    decoder: {
      ...both,
      out_ch: config.outChannels,
      attn_resolutions: sidesOf(config.decoderAttentionLevels),
      resolution,
    },
  };
}
