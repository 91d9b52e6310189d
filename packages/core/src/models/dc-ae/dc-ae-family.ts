/** DC-AE as a row of the families. */
import type { Tensor } from "../../graph/tensor.js";
import { type AutoencoderFamily, blendedTiles, type NameRule, type WeightNames, type WeightPiece } from "../family.js";
import { POINT } from "../latent.js";
import { dcAeDecode, dcAeEncode } from "./dc-ae.js";
import { type DcAeConfig, spatialCompression } from "./dc-ae-config.js";
import { DC_AE_PRESETS } from "./dc-ae-presets.js";
import { parseDiffusersConfig, toDiffusersConfig } from "./diffusers-config.js";
import { parseOfficialConfig, toOfficialConfig } from "./official-config.js";

// Official DC-AE parameter names to those of diffusers (dcae.md section 6), by rules.
//
// `to_q`, `to_k` and `to_v` are misleading names: they hold the three thirds of the rows of the official 1x1 convolution,
// whose channels are interleaved per head. They are never queries, keys and values.

/** Names inside a block, after `encoder.stages.<s>.op_list.<m>.`; `<kind>` stays as it is. */
const blockRules: readonly (readonly [pattern: RegExp, target: string])[] = [
  // ResBlock
  [/^main\.conv1\.conv\.(weight|bias)$/, "conv1.$1"],
  [/^main\.conv2\.conv\.weight$/, "conv2.weight"],
  [/^main\.conv2\.norm\.(\w+)$/, "norm.$1"],
  // Attention
  [/^context_module\.main\.aggreg\.(\d+)\.0\.weight$/, "attn.to_qkv_multiscale.$1.proj_in.weight"],
  [/^context_module\.main\.aggreg\.(\d+)\.1\.weight$/, "attn.to_qkv_multiscale.$1.proj_out.weight"],
  [/^context_module\.main\.proj\.conv\.weight$/, "attn.to_out.weight"],
  [/^context_module\.main\.proj\.norm\.(\w+)$/, "attn.norm_out.$1"],
  // Gated convolution
  [/^local_module\.main\.inverted_conv\.conv\.(weight|bias)$/, "conv_out.conv_inverted.$1"],
  [/^local_module\.main\.depth_conv\.conv\.(weight|bias)$/, "conv_out.conv_depth.$1"],
  [/^local_module\.main\.point_conv\.conv\.weight$/, "conv_out.conv_point.weight"],
  [/^local_module\.main\.point_conv\.norm\.(\w+)$/, "conv_out.norm.$1"],
  // Resampling, with and without a pixel (un)shuffle around the convolution
  [/^main\.conv\.(?:conv\.)?(weight|bias)$/, "conv.$1"],
];

/** Names outside of the stages. */
const projectionRules: readonly (readonly [pattern: RegExp, target: string])[] = [
  [/^encoder\.project_in\.conv\.conv\.(weight|bias)$/, "encoder.conv_in.conv.$1"],
  [/^encoder\.project_out\.(?:main\.)?op_list\.0\.conv\.(weight|bias)$/, "encoder.conv_out.$1"],
  [/^decoder\.project_in\.(?:main\.)?conv\.(weight|bias)$/, "decoder.conv_in.$1"],
  [/^decoder\.project_out\.op_list\.0\.(weight|bias)$/, "decoder.norm_out.$1"],
  [/^decoder\.project_out\.op_list\.2\.conv\.conv\.(weight|bias)$/, "decoder.conv_out.conv.$1"],
  [/^decoder\.project_out\.op_list\.2\.conv\.(weight|bias)$/, "decoder.conv_out.$1"],
];

const STAGE = /^(encoder|decoder)\.stages\.(\d+)\.op_list\.(\d+)\.(.+)$/;
const QKV = "context_module.main.qkv.conv.weight";

/** The diffusers names of the parameters of one model. */
function dcAeToDiffusers(specs: readonly WeightPiece[]): NameRule {
  // The strided convolution has one official name, but two in diffusers: as input layer of a model with an empty first
  // stage it is a resampling block, otherwise a plain convolution.
  const hasFirstStage = specs.some(({ name }) => name.startsWith("encoder.stages.0."));
  const inputRule = [
    /^encoder\.project_in\.conv\.(weight|bias)$/,
    `encoder.conv_in.${hasFirstStage ? "" : "conv."}$1`,
  ] as const;
  const outside = [...projectionRules, inputRule];

  return ({ name, shape }) => {
    const [, part, stage, position, rest = ""] = STAGE.exec(name) ?? [];
    if (part === undefined) return rename(outside, name, shape);
    const block = `${part}.${part === "encoder" ? "down_blocks" : "up_blocks"}.${stage}.${position}`;
    if (rest === QKV) return splitRows(block, shape);
    return rename(blockRules, rest, shape)?.map((piece) => ({ ...piece, name: `${block}.${piece.name}` }));
  };
}

function rename(
  rules: readonly (readonly [pattern: RegExp, target: string])[],
  name: string,
  shape: readonly number[],
): WeightPiece[] | undefined {
  const rule = rules.find(([pattern]) => pattern.test(name));
  if (rule === undefined) return undefined;
  const target = name.replace(rule[0], rule[1]);
  // The only linear layer here that is a 1x1 convolution in the official code.
  return [{ name: target, shape: target === "attn.to_out.weight" ? withoutUnits(shape) : shape }];
}

function splitRows(block: string, shape: readonly number[]): WeightPiece[] {
  const [rows = 0, ...rest] = withoutUnits(shape);
  return ["to_q", "to_k", "to_v"].map((name) => ({ name: `${block}.attn.${name}.weight`, shape: [rows / 3, ...rest] }));
}

/** [out, in, 1, 1] to [out, in]. */
function withoutUnits(shape: readonly number[]): readonly number[] {
  return shape.length === 4 && shape[2] === 1 && shape[3] === 1 ? shape.slice(0, 2) : shape;
}

const some = (names: readonly string[], prefix: string) => names.some((name) => name.startsWith(prefix));

/** As its authors publish it, and as diffusers names it. */
const DC_AE_WEIGHT_NAMES = {
  official: { fits: (names) => some(names, "encoder.project_in."), rule: () => (spec) => [spec] },
  diffusers: {
    fits: (names) =>
      some(names, "encoder.down_blocks.") &&
      some(names, "encoder.conv_in.") &&
      names.includes("decoder.norm_out.weight"),
    rule: dcAeToDiffusers,
  },
} satisfies Record<string, WeightNames>;

export const DC_AE = {
  label: "DC-AE",
  className: "AutoencoderDC",
  latent: POINT,
  compression: spatialCompression,
  encode: dcAeEncode,
  decode: dcAeDecode,
  isAdaptive: ({ encoder, decoder }) => ({
    encoder: encoder.outBlockType === "AdaptiveOutputConvLayer",
    decoder: decoder.inBlockType === "AdaptiveInputConvLayer",
  }),
  blendedTiles: (config) => blendedTiles({ tile: [512, 512], stride: [448, 448] }, spatialCompression(config)),
  readConfig: (json, source) => ({ ...parseDiffusersConfig(json, source), shiftFactor: null }),
  writeConfig: (config, { scalingFactor }) => toDiffusersConfig(config, scalingFactor),
  officialConfig: { read: parseOfficialConfig, write: toOfficialConfig },
  weightNames: DC_AE_WEIGHT_NAMES,
  layouts: {
    official: { weights: "official", hubSuffix: "" },
    diffusers: { weights: "diffusers", hubSuffix: "-diffusers" },
  },
  presets: DC_AE_PRESETS,
} satisfies AutoencoderFamily<DcAeConfig, Tensor>;
