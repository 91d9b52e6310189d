/**
 * The configuration of the baseline autoencoder SD-VAE (diffusers' `AutoencoderKL`, dcae.md section 10), fully resolved.
 *
 * Covered is the plain convolutional form: every level made of residual blocks, attention only in the middle. Level 0 is the
 * full resolution; n levels compress by 2^(n-1).
 */
import { z } from "zod";
import type { ActName } from "../../blocks/block-spec.js";
import { type ConfigIssue, type FieldNamer, throwConfigIssues, zodIssues } from "../config-issues.js";

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
  /** Side of a tile, in pixels; only tiling uses it. */
  readonly sampleSize: number;
}

export type SdVaeConfigInput = Partial<SdVaeConfig>;

const count = (limit: number) => {
  const error = `must be a positive integer of at most ${limit}`;
  return z.int({ error }).min(1, { error }).max(limit, { error });
};
const flag = z.boolean({ error: "must be true or false" });

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

/**
 * `resolveSdVaeConfig` for input of unknown form, which may come from a file with its own names.
 * @internal
 */
export function buildSdVaeConfig(input: unknown, subject: string, nameOf: FieldNamer): SdVaeConfig {
  const result = schema.safeParse(input);
  if (!result.success) throwConfigIssues(subject, zodIssues(result.error, input), nameOf);
  const config = result.data;
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
  if (issues.length > 0) throwConfigIssues(subject, issues, nameOf);
  return config;
}

/** How many picture pixels one latent position spans along each axis (8 for SD-VAE-f8). */
export function sdVaeSpatialCompression(config: SdVaeConfig): number {
  return 2 ** (config.blockOutChannels.length - 1);
}
