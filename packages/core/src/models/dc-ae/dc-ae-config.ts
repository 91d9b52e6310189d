/**
 * The configuration of a DC-AE, fully resolved: one entry per stage in every list, nothing left to defaults.
 *
 * It holds what the official constructor takes (dcae.md sections 2-4) under camelCase names. Stage 0 is the full
 * resolution; n stages compress by 2^(n-1). Build one with `resolveDcAeConfig` (from code), `parseOfficialConfig` or
 * `parseDiffusersConfig` (from files) or take a preset's; all of these check every constraint, so that code which gets a
 * `DcAeConfig` need not.
 */
import type { ActName, BlockSpec, NormName } from "../../blocks/block-spec.js";
import { type FieldNamer, throwConfigIssues } from "../config-issues.js";
import { findConfigIssues } from "./dc-ae-config-checks.js";
import { readConfigInput } from "./dc-ae-config-schema.js";

export interface DcAeEncoderConfig {
  /** Channels per stage. */
  readonly widthList: readonly number[];
  /** Blocks per stage. Only stage 0 may have none: then the input projection halves the size and widthList[0] is unused. */
  readonly depthList: readonly number[];
  readonly blockType: readonly BlockSpec[];
  readonly norm: readonly (NormName | null)[];
  readonly act: readonly (ActName | null)[];
  readonly downsampleBlockType: "ConvPixelUnshuffle" | "Conv";
  /** Parameter-free shortcut around the down-sampling between stages. */
  readonly downsampleShortcut: "averaging" | null;
  /** Normalization and activation before the output convolution. */
  readonly outNorm: NormName | null;
  readonly outAct: ActName | null;
  /** Adaptive: `encode` may give only the first latent channels (DC-AE 1.5). */
  readonly outBlockType: "ConvLayer" | "AdaptiveOutputConvLayer";
  readonly outShortcut: "averaging" | null;
}

export interface DcAeDecoderConfig {
  /** Adaptive: `decode` takes latents with fewer channels (DC-AE 1.5). */
  readonly inBlockType: "ConvLayer" | "AdaptiveInputConvLayer";
  readonly inShortcut: "duplicating" | null;
  /** Channels per stage, stage 0 = full resolution, as in the encoder (the decoder runs them from last to first). */
  readonly widthList: readonly number[];
  /** Blocks per stage. Only stage 0 may have none: then the output projection doubles the size and widthList[0] is unused. */
  readonly depthList: readonly number[];
  readonly blockType: readonly BlockSpec[];
  readonly norm: readonly (NormName | null)[];
  readonly act: readonly (ActName | null)[];
  readonly upsampleBlockType: "ConvPixelShuffle" | "InterpolateConv";
  /** Parameter-free shortcut around the up-sampling between stages. */
  readonly upsampleShortcut: "duplicating" | null;
  /** Normalization and activation before the output convolution. */
  readonly outNorm: NormName | null;
  readonly outAct: ActName | null;
}

export interface DcAeConfig {
  /** Channels of the pictures that go in and come out. */
  readonly inChannels: number;
  readonly latentChannels: number;
  /** Channels per attention head (32 in every published model). */
  readonly headDim: number;
  readonly encoder: DcAeEncoderConfig;
  readonly decoder: DcAeDecoderConfig;
}

/** A value for all stages, or one per stage. */
export type PerStage<T> = T | readonly T[];

type StageInput<Part extends DcAeEncoderConfig | DcAeDecoderConfig> = Partial<
  Omit<Part, "blockType" | "norm" | "act"> & {
    readonly blockType: PerStage<string | BlockSpec>;
    readonly norm: PerStage<NormName | null>;
    readonly act: PerStage<ActName | null>;
  }
>;

/** What `resolveDcAeConfig` takes: every key is optional, blocks may be official names, stages may share one value. */
export type DcAeConfigInput = Partial<Omit<DcAeConfig, "encoder" | "decoder">> & {
  readonly encoder?: StageInput<DcAeEncoderConfig>;
  readonly decoder?: StageInput<DcAeDecoderConfig>;
};

/**
 * A checked configuration with the reference's defaults for everything left out (dcae.md section 3).
 *
 * @throws ConfigError naming each wrong field, its value and what is allowed
 */
export function resolveDcAeConfig(input: DcAeConfigInput): DcAeConfig {
  return buildDcAeConfig(input, "DC-AE config", (path) => path);
}

/**
 * `resolveDcAeConfig` for input of unknown form, which may come from a file with its own names.
 *
 * @param subject what is being read, for messages
 * @param nameOf the name in that file of a field of `DcAeConfigInput` (`encoder.widthList`)
 * @internal
 */
export function buildDcAeConfig(input: unknown, subject: string, nameOf: FieldNamer): DcAeConfig {
  const config = readConfigInput(input, subject, nameOf);
  const issues = findConfigIssues(config);
  if (issues.length > 0) throwConfigIssues(subject, issues, nameOf);
  return config;
}

/** How many picture pixels one latent position spans along each axis: 2^(stages-1). */
export function spatialCompression(config: DcAeConfig): number {
  return 2 ** (config.encoder.widthList.length - 1);
}
