/**
 * The other direction of diffusers-config.ts: a DC-AE configuration as an `AutoencoderDC` config.json.
 */
import { type BlockSpec, formatBlockType, type NormName } from "../../blocks/block-spec.js";
import { type ConfigIssue, quote, throwConfigIssues } from "../config-issues.js";
import { diffusersActName } from "../diffusers-json.js";
import type { DcAeConfig, DcAeDecoderConfig, DcAeEncoderConfig } from "./dc-ae-config.js";

/** trms2d and rms2d compute the same numbers. */
const normNames: Readonly<Partial<Record<NormName, string>>> = {
  trms2d: "rms_norm",
  rms2d: "rms_norm",
  bn2d: "batch_norm",
};

/**
 * The config.json of this model in diffusers' form.
 *
 * @param scalingFactor null (not known) leaves the key out, for which diffusers assumes 1
 * @throws ConfigError naming each feature that `AutoencoderDC` doesn't have
 */
export function toDiffusersConfig(config: DcAeConfig, scalingFactor: number | null): Record<string, unknown> {
  const issues = findUnsupported(config);
  if (issues.length > 0) throwConfigIssues("not expressible as a diffusers AutoencoderDC", issues, (path) => path);

  const { encoder, decoder } = config;
  const encoderAdaptive = encoder.outBlockType === "AdaptiveOutputConvLayer";
  const decoderAdaptive = decoder.inBlockType === "AdaptiveInputConvLayer";
  return {
    _class_name: "AutoencoderDC",
    in_channels: config.inChannels,
    latent_channels: config.latentChannels,
    attention_head_dim: config.headDim,
    encoder_block_types: encoder.blockType.map(blockClass),
    decoder_block_types: decoder.blockType.map(blockClass),
    encoder_block_out_channels: [...encoder.widthList],
    decoder_block_out_channels: [...decoder.widthList],
    encoder_layers_per_block: [...encoder.depthList],
    decoder_layers_per_block: [...decoder.depthList],
    encoder_qkv_multiscales: encoder.blockType.map(scalesOf),
    decoder_qkv_multiscales: decoder.blockType.map(scalesOf),
    downsample_block_type: encoder.downsampleBlockType === "Conv" ? "Conv" : "pixel_unshuffle",
    upsample_block_type: decoder.upsampleBlockType === "InterpolateConv" ? "interpolate" : "pixel_shuffle",
    // Without a name are only the norm and act of stages without blocks, which nothing uses.
    decoder_norm_types: collapse(decoder.norm.map((norm, stage) => normType(norm, decoder.blockType[stage]))),
    decoder_act_fns: collapse(decoder.act.map((act) => diffusersActName(act) ?? "silu")),
    encoder_out_shortcut: encoder.outShortcut !== null,
    decoder_in_shortcut: decoder.inShortcut !== null,
    decoder_conv_act_fn: diffusersActName(decoder.outAct),
    ...(scalingFactor === null ? {} : { scaling_factor: scalingFactor }),
    ...(encoderAdaptive ? { encoder_out_adaptive: true } : {}),
    ...(decoderAdaptive ? { decoder_in_adaptive: true } : {}),
  };
}

function normType(norm: NormName | null, block: BlockSpec | undefined): string {
  return (norm !== null && block?.type !== "EViTGLU" && normNames[norm]) || "rms_norm";
}

function blockClass(block: BlockSpec): string {
  return block.type === "EViTGLU" ? "EfficientViTBlock" : "ResBlock";
}

function scalesOf(block: BlockSpec): number[] {
  return block.type === "EViTGLU" ? [...block.scales] : [];
}

function collapse<Item>(items: readonly Item[]): Item | readonly Item[] {
  return new Set(items).size === 1 ? (items[0] as Item) : items;
}

/** Every feature that diffusers' class lacks. */
export function findUnsupported(config: DcAeConfig): ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  const require = (supported: boolean, path: string, value: unknown, allowed: string) => {
    if (!supported) issues.push({ path, problem: `is ${quote(value)} but there is only ${allowed}` });
  };
  const { encoder, decoder } = config;
  forUsedStages("encoder", encoder, (path, stage) => {
    const block = encoder.blockType[stage] as BlockSpec;
    const norm = encoder.norm[stage] ?? null;
    const act = encoder.act[stage] ?? null;
    require(hasClass(block), path("blockType"), formatBlockType(block), "ResBlock and EViTGLU");
    require(isRms(norm), path("norm"), norm, "trms2d in the encoder");
    require(act === "silu", path("act"), act, "silu in the encoder");
  });
  require(encoder.downsampleShortcut !== null, "encoder.downsampleShortcut", null, "averaging");
  require(encoder.outNorm === null, "encoder.outNorm", encoder.outNorm, "null");
  require(encoder.outAct === null, "encoder.outAct", encoder.outAct, "null");

  forUsedStages("decoder", decoder, (path, stage) => {
    const block = decoder.blockType[stage] as BlockSpec;
    const norm = decoder.norm[stage] ?? null;
    const act = decoder.act[stage] ?? null;
    require(hasClass(block), path("blockType"), formatBlockType(block), "ResBlock and EViTGLU");
    if (block.type === "EViTGLU") {
      require(isRms(norm), path("norm"), norm, "trms2d in stages with attention");
      require(act === "silu", path("act"), act, "silu in stages with attention");
    } else {
      require(norm !== null && normNames[norm] !== undefined, path("norm"), norm, "trms2d and bn2d");
      require(diffusersActName(act) !== undefined, path("act"), act, "silu, mish, gelu_erf and relu");
    }
  });
  require(decoder.upsampleShortcut !== null, "decoder.upsampleShortcut", null, "duplicating");
  require(isRms(decoder.outNorm), "decoder.outNorm", decoder.outNorm, "trms2d");
  require(diffusersActName(decoder.outAct) !==
    undefined, "decoder.outAct", decoder.outAct, "silu, mish, gelu_erf and relu");
  return issues;
}

function hasClass(block: BlockSpec): boolean {
  return block.type === "ResBlock" || block.type === "EViTGLU";
}

function isRms(norm: NormName | null): boolean {
  return norm === "trms2d" || norm === "rms2d";
}

function forUsedStages(
  part: "encoder" | "decoder",
  config: DcAeEncoderConfig | DcAeDecoderConfig,
  visit: (path: (key: string) => string, stage: number) => void,
): void {
  config.depthList.forEach((depth, stage) => {
    if (depth > 0) visit((key) => `${part}.${key}[${stage}]`, stage);
  });
}
