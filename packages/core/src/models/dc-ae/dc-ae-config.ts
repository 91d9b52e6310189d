/**
 * The configuration of a DC-AE, fully resolved: one entry per stage in every list, nothing left to defaults.
 *
 * It holds what the official constructor takes (dcae.md sections 2-4) under camelCase names. Stage 0 is the full
 * resolution; n stages compress by 2^(n-1). Build one with `resolveDcAeConfig` (from code), `parseOfficialConfig` or
 * `parseDiffusersConfig` (from files) or take a preset's; all of these check every constraint, so that code which gets a
 * `DcAeConfig` need not. What the fields must be to each other stands at the end (dcae.md sections 1.2 and 3).
 */
import { type ActName, type BlockSpec, type NormName, usesAttention } from "../../blocks/block-spec.js";
import { plural } from "../../format-amount.js";
import { type ConfigIssue, type FieldNamer, throwConfigIssues } from "../config-issues.js";
import type { ModelPartName } from "../family.js";
import { readConfigInput } from "./dc-ae-config-schema.js";

/** The encoder of a DC-AE. */
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

/** The decoder of a DC-AE. */
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

/** The architecture of a DC-AE. */
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

type Report = (path: string, problem: string) => void;

/** Everything that keeps this configuration from being a model; empty when it is one. */
function findConfigIssues(config: DcAeConfig): ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  const report: Report = (path, problem) => issues.push({ path, problem });
  const { encoder, decoder } = config;

  const listsFit = [checkLists("encoder", encoder, report), checkLists("decoder", decoder, report)].every(Boolean);
  if (encoder.widthList.length !== decoder.widthList.length) {
    report(
      "decoder.widthList",
      `has ${decoder.widthList.length} stages but must have ${encoder.widthList.length}, as the encoder's (both ends have the same compression)`,
    );
  }
  if (!listsFit) return issues;

  checkBlocks("encoder", encoder, config.headDim, report);
  checkBlocks("decoder", decoder, config.headDim, report);
  checkResampling("encoder", encoder, encoder.downsampleShortcut, report);
  checkResampling("decoder", decoder, decoder.upsampleShortcut, report);
  if (encoder.downsampleBlockType === "ConvPixelUnshuffle") checkUnshuffleWidths(encoder, report);
  checkLatent(config, report);
  return issues;
}

function checkLists(part: ModelPartName, config: DcAeEncoderConfig | DcAeDecoderConfig, report: Report): boolean {
  const count = config.widthList.length;
  let fit = true;
  for (const key of ["depthList", "blockType", "norm", "act"] as const) {
    const { length } = config[key];
    if (length === count) continue;
    fit = false;
    report(
      `${part}.${key}`,
      `has ${plural(length, "entry", "entries")} but must have ${count}, one per entry of the width list`,
    );
  }
  config.depthList.forEach((depth, stage) => {
    if (depth > 0) return;
    if (stage > 0) report(`${part}.depthList[${stage}]`, "is 0 but must be positive: only stage 0 may be empty");
    else if (count === 1) report(`${part}.depthList[0]`, "is 0 but must be positive: there is no other stage");
  });
  return fit && (count > 1 || config.depthList[0] !== 0);
}

function checkBlocks(
  part: ModelPartName,
  config: DcAeEncoderConfig | DcAeDecoderConfig,
  headDim: number,
  report: Report,
): void {
  config.blockType.forEach((block, stage) => {
    const width = config.widthList[stage] as number;
    if (config.depthList[stage] === 0) return;
    const problem = blockProblem(block, width, headDim);
    if (problem !== undefined) report(`${part}.widthList[${stage}]`, `is ${width} but ${problem}`);
  });
}

function blockProblem(block: BlockSpec, width: number, headDim: number): string | undefined {
  if (usesAttention(block) && width % headDim !== 0) {
    return `must be a multiple of the head size ${headDim} in a stage with attention`;
  }
  if (block.type === "ChannelAttentionResBlock" && block.attention === "SEModule" && width < 4) {
    return "must be at least 4 in a stage with SEModule";
  }
  if (block.type === "GLUMBConv" && width * block.expansion <= 0.5) {
    return `must give at least one hidden channel with expansion ${block.expansion}`;
  }
  return undefined;
}

/** Both shortcuts need 4 * width[s] channels to fall into groups of equal size (1.2), wherever a resampling block lies. */
function checkResampling(
  part: ModelPartName,
  config: DcAeEncoderConfig | DcAeDecoderConfig,
  shortcut: "averaging" | "duplicating" | null,
  report: Report,
): void {
  if (shortcut === null) return;
  for (let stage = 0; stage + 1 < config.widthList.length; stage++) {
    const width = config.widthList[stage] as number;
    const next = config.widthList[stage + 1] as number;
    if (config.depthList[stage] !== 0 && (4 * width) % next !== 0) {
      report(
        `${part}.widthList[${stage + 1}]`,
        `is ${next} but must divide 4 x ${width} (the width of stage ${stage}) for the ${shortcut} shortcut`,
      );
    }
  }
}

function checkUnshuffleWidths(config: DcAeEncoderConfig, report: Report): void {
  config.widthList.forEach((width, stage) => {
    if (stage > 0 && width % 4 !== 0) {
      report(`encoder.widthList[${stage}]`, `is ${width} but must be a multiple of 4 for ConvPixelUnshuffle`);
    }
  });
}

function checkLatent(config: DcAeConfig, report: Report): void {
  const { encoder, decoder, latentChannels } = config;
  const encoderWidth = encoder.widthList.at(-1) as number;
  const decoderWidth = decoder.widthList.at(-1) as number;
  if (encoder.outBlockType === "AdaptiveOutputConvLayer") {
    if (encoder.outShortcut !== null) {
      report("encoder.outShortcut", 'is "averaging" but must be null with AdaptiveOutputConvLayer');
    }
  } else if (encoder.outShortcut !== null && encoderWidth % latentChannels !== 0) {
    report(
      "latentChannels",
      `is ${latentChannels} but must divide the encoder's last width ${encoderWidth} for the averaging shortcut`,
    );
  }
  if (decoder.inBlockType === "AdaptiveInputConvLayer") {
    if (decoder.inShortcut !== null) {
      report("decoder.inShortcut", 'is "duplicating" but must be null with AdaptiveInputConvLayer');
    }
  } else if (decoder.inShortcut !== null && decoderWidth % latentChannels !== 0) {
    report(
      "latentChannels",
      `is ${latentChannels} but must divide the decoder's last width ${decoderWidth} for the duplicating shortcut`,
    );
  }
}
