/**
 * DC-AE configurations as diffusers' `AutoencoderDC` writes them (dcae.md section 7).
 *
 * Diffusers can express less: the encoder always has RMS norm and SiLU, attention blocks always end in RMS norm and use SiLU,
 * there is one shortcut rule. What can't be expressed is refused when writing. One thing goes beyond its keys: the adaptive
 * latent of DC-AE 1.5 computes the same function when all channels are used, so it is written as two keys of our own
 * (`encoder_out_adaptive`, `decoder_in_adaptive`), which diffusers ignores.
 */
import { z } from "zod";
import { type ActName, type BlockSpec, formatBlockType, type NormName } from "../../blocks/block-spec.js";
import { ConfigError } from "../../errors.js";
import { plural } from "../../format-amount.js";
import {
  type ConfigIssue,
  diffusersActName,
  modelKeys,
  parseBySchema,
  parseDiffusersAct,
  quote,
  throwConfigIssues,
} from "../config-issues.js";
import type { ModelPartName } from "../family.js";
import { buildDcAeConfig, type DcAeConfig, type DcAeDecoderConfig, type DcAeEncoderConfig } from "./dc-ae-config.js";

/** Fields under their names in the file; entries keep their index. */
const fieldNames: Readonly<Record<string, string>> = {
  inChannels: "in_channels",
  latentChannels: "latent_channels",
  headDim: "attention_head_dim",
  "encoder.widthList": "encoder_block_out_channels",
  "encoder.depthList": "encoder_layers_per_block",
  "encoder.blockType": "encoder_block_types",
  "encoder.outShortcut": "encoder_out_shortcut",
  "decoder.widthList": "decoder_block_out_channels",
  "decoder.depthList": "decoder_layers_per_block",
  "decoder.blockType": "decoder_block_types",
  "decoder.norm": "decoder_norm_types",
  "decoder.act": "decoder_act_fns",
  "decoder.inShortcut": "decoder_in_shortcut",
  "decoder.outAct": "decoder_conv_act_fn",
};

function nameInFile(path: string): string {
  const scale = /^(encoder|decoder)\.blockType(\[\d+\])\.scales(.*)$/.exec(path);
  if (scale) return `${scale[1]}_qkv_multiscales${scale[2]}${scale[3]}`;
  const [, field = path, rest = ""] = /^([^[]+)(.*)$/.exec(path) ?? [];
  return (fieldNames[field] ?? field) + rest;
}

const list = <Item extends z.ZodType>(item: Item) => z.array(item, { error: "must be a list" });
const scalarOrList = <Item extends z.ZodType>(item: Item, error: string) => z.union([item, z.array(item)], { error });
const flag = z.boolean({ error: "must be true or false" });
const text = z.string({ error: "must be a string" });

const blockTypes = scalarOrList(
  z.enum(["ResBlock", "EfficientViTBlock"]),
  'must be "ResBlock" or "EfficientViTBlock", or a list of them',
);
const multiscales = list(list(z.number({ error: "must be a number" }))).default([[], [], [], [5], [5], [5]]);
const widths = z.unknown().default([128, 256, 512, 512, 1024, 1024]);

/** Keys with the class's defaults. Numbers of channels and layers are checked with the configuration that results. */
const schema = z.strictObject({
  in_channels: z.unknown().default(3),
  latent_channels: z.unknown().default(32),
  attention_head_dim: z.unknown().default(32),
  encoder_block_types: blockTypes.default("ResBlock"),
  decoder_block_types: blockTypes.default("ResBlock"),
  encoder_block_out_channels: widths,
  decoder_block_out_channels: widths,
  encoder_layers_per_block: z.unknown().default([2, 2, 2, 3, 3, 3]),
  decoder_layers_per_block: z.unknown().default([3, 3, 3, 3, 3, 3]),
  encoder_qkv_multiscales: multiscales,
  decoder_qkv_multiscales: multiscales,
  upsample_block_type: text.default("pixel_shuffle"),
  downsample_block_type: text.default("pixel_unshuffle"),
  decoder_norm_types: scalarOrList(
    z.enum(["rms_norm", "batch_norm"]),
    'must be "rms_norm" or "batch_norm", or a list of them',
  ).default("rms_norm"),
  decoder_act_fns: scalarOrList(text, "must be a string or a list of strings").default("silu"),
  encoder_out_shortcut: flag.default(true),
  decoder_in_shortcut: flag.default(true),
  decoder_conv_act_fn: text.default("relu"),
  scaling_factor: z.number({ error: "must be a positive number" }).positive("must be a positive number").default(1),
  encoder_out_adaptive: flag.default(false),
  decoder_in_adaptive: flag.default(false),
});

/** A configuration, and the factor that goes from its latents to those of a diffusion model. */
interface DiffusersDcAe {
  readonly config: DcAeConfig;
  /** 1 (diffusers' default) also when the file says nothing. */
  readonly scalingFactor: number;
}

/**
 * Reads an `AutoencoderDC` configuration. Keys with a leading underscore are ignored; other unknown keys are refused, since
 * they could change the model.
 *
 * @param source for messages: the file
 * @throws ConfigError naming each wrong field, its value and what is allowed
 */
export function parseDiffusersConfig(json: unknown, source = "AutoencoderDC config"): DiffusersDcAe {
  const keys = modelKeys(json, "AutoencoderDC", source);
  const file = parseBySchema(schema, keys, source);

  const stages = countOf(file.decoder_block_out_channels);
  const blockType = readBlocks("decoder", file, source);
  const norm = spread(file.decoder_norm_types, stages).map((name): NormName => normNames[name]);
  const act = spread(file.decoder_act_fns, stages).map((name, stage): ActName => {
    const parsed = parseDiffusersAct(name, "decoder_act_fns", source);
    // Attention blocks use SiLU whatever the file says.
    return blockType[stage]?.type === "EViTGLU" ? "silu" : parsed;
  });
  refuseBatchNormInAttention(blockType, norm, source);

  const input = {
    inChannels: file.in_channels,
    latentChannels: file.latent_channels,
    headDim: file.attention_head_dim,
    encoder: {
      widthList: file.encoder_block_out_channels,
      depthList: file.encoder_layers_per_block,
      blockType: readBlocks("encoder", file, source),
      // Any text but this one means the strided convolution; likewise for "interpolate" below.
      downsampleBlockType: file.downsample_block_type === "pixel_unshuffle" ? "ConvPixelUnshuffle" : "Conv",
      outShortcut: file.encoder_out_shortcut ? "averaging" : null,
      outBlockType: file.encoder_out_adaptive ? "AdaptiveOutputConvLayer" : "ConvLayer",
    },
    decoder: {
      inBlockType: file.decoder_in_adaptive ? "AdaptiveInputConvLayer" : "ConvLayer",
      inShortcut: file.decoder_in_shortcut ? "duplicating" : null,
      widthList: file.decoder_block_out_channels,
      depthList: file.decoder_layers_per_block,
      blockType,
      norm,
      act,
      upsampleBlockType: file.upsample_block_type === "interpolate" ? "InterpolateConv" : "ConvPixelShuffle",
      outAct: parseDiffusersAct(file.decoder_conv_act_fn, "decoder_conv_act_fn", source),
    },
  };
  return { config: buildDcAeConfig(input, source, nameInFile), scalingFactor: file.scaling_factor };
}

const normNames = { rms_norm: "trms2d", batch_norm: "bn2d" } as const satisfies Record<string, NormName>;

/** Number of stages; the form of the list is checked with the configuration that results. */
function countOf(widthList: unknown): number {
  return Array.isArray(widthList) ? widthList.length : 0;
}

function spread<Item>(value: Item | Item[], count: number): Item[] {
  return Array.isArray(value) ? value : Array.from({ length: count }, () => value);
}

/** An EfficientViTBlock has one attention scale per kernel size in `qkv_multiscales`, which a ResBlock ignores. */
function readBlocks(part: ModelPartName, file: z.infer<typeof schema>, source: string): BlockSpec[] {
  const count = countOf(file[`${part}_block_out_channels`]);
  const scales = file[`${part}_qkv_multiscales`];
  const types = spread(file[`${part}_block_types`], count);
  if (types.includes("EfficientViTBlock") && scales.length !== count) {
    throw new ConfigError(
      `${source}: ${part}_qkv_multiscales has ${plural(scales.length, "entry", "entries")} but must have ${count}, one per entry of ${part}_block_out_channels`,
    );
  }
  return types.map((type, stage) =>
    type === "ResBlock" ? { type } : { type: "EViTGLU", scales: scales[stage] ?? [] },
  );
}

function refuseBatchNormInAttention(blocks: readonly BlockSpec[], norms: readonly NormName[], source: string): void {
  const stage = norms.findIndex((norm, index) => norm === "bn2d" && blocks[index]?.type === "EViTGLU");
  if (stage === -1) return;
  throw new ConfigError(
    `${source}: decoder_norm_types[${stage}] is "batch_norm" but must be "rms_norm" in a stage of EfficientViTBlock`,
    {
      hint: "Diffusers would use batch norm in one half of such a block and RMS norm in the other; no known model does.",
    },
  );
}

/** trms2d and rms2d compute the same numbers. */
const diffusersNormNames: Readonly<Partial<Record<NormName, string>>> = {
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
  return (norm !== null && block?.type !== "EViTGLU" && diffusersNormNames[norm]) || "rms_norm";
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
function findUnsupported(config: DcAeConfig): ConfigIssue[] {
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
      require(norm !== null && diffusersNormNames[norm] !== undefined, path("norm"), norm, "trms2d and bn2d");
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
  part: ModelPartName,
  config: DcAeEncoderConfig | DcAeDecoderConfig,
  visit: (path: (key: string) => string, stage: number) => void,
): void {
  config.depthList.forEach((depth, stage) => {
    if (depth > 0) visit((key) => `${part}.${key}[${stage}]`, stage);
  });
}
