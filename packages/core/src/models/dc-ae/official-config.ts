/**
 * DC-AE configurations under the official constructor's names (snake_case), as they are written to disk.
 *
 * Lists whose entries are all the same are written as one value, as in the official code. `head_dim` is our addition: the
 * official code has it as a constant (32). Options that no published model uses and that this project doesn't build
 * (dcae.md section 3) are accepted with the value that changes nothing, and refused otherwise.
 */
import { type BlockSpec, formatBlockType } from "../../blocks/block-spec.js";
import { type ConfigIssue, quote, throwConfigIssues } from "../config-issues.js";
import { buildDcAeConfig, type DcAeConfig, type DcAeDecoderConfig, type DcAeEncoderConfig } from "./dc-ae-config.js";

const topKeys = { in_channels: "inChannels", latent_channels: "latentChannels", head_dim: "headDim" } as const;
const stageKeys = {
  width_list: "widthList",
  depth_list: "depthList",
  block_type: "blockType",
  norm: "norm",
  act: "act",
} as const;
const encoderKeys = {
  ...stageKeys,
  downsample_block_type: "downsampleBlockType",
  downsample_shortcut: "downsampleShortcut",
  out_norm: "outNorm",
  out_act: "outAct",
  out_block_type: "outBlockType",
  out_shortcut: "outShortcut",
} as const satisfies Record<string, keyof DcAeEncoderConfig>;
const decoderKeys = {
  in_block_type: "inBlockType",
  in_shortcut: "inShortcut",
  ...stageKeys,
  upsample_block_type: "upsampleBlockType",
  upsample_shortcut: "upsampleShortcut",
  out_norm: "outNorm",
  out_act: "outAct",
} as const satisfies Record<string, keyof DcAeDecoderConfig>;

/** Options without a counterpart: the one value that is accepted, or undefined for options that the official code ignores. */
const fixedOptions: Readonly<Record<string, boolean | undefined>> = {
  "encoder.downsample_match_channel": true,
  "encoder.double_latent": false,
  "decoder.upsample_match_channel": true,
  use_quant_conv: undefined,
};

/** A configuration as the official constructor takes it. */
export type OfficialConfig = Readonly<Record<string, unknown>>;

/**
 * Reads a configuration with the official names; missing keys have the official defaults.
 *
 * @param source for messages: the file
 * @throws ConfigError naming each wrong field, its value and what is allowed
 */
export function parseOfficialConfig(json: unknown, source = "DC-AE config"): DcAeConfig {
  const issues: ConfigIssue[] = [];
  const { encoder, decoder, ...top } = isRecord(json) ? json : {};
  if (!isRecord(json)) issues.push({ path: "", problem: `is ${quote(json)} but must be an object` });
  const input = {
    ...rename(top, "", topKeys, issues),
    ...(encoder === undefined ? {} : { encoder: rename(encoder, "encoder", encoderKeys, issues) }),
    ...(decoder === undefined ? {} : { decoder: rename(decoder, "decoder", decoderKeys, issues) }),
  };
  if (issues.length > 0) throwConfigIssues(source, issues, (path) => path);
  return buildDcAeConfig(input, source, toSnakeCase);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function rename(
  part: unknown,
  place: string,
  keys: Readonly<Record<string, string>>,
  issues: ConfigIssue[],
): Record<string, unknown> | undefined {
  if (!isRecord(part)) {
    issues.push({ path: place, problem: `is ${quote(part)} but must be an object` });
    return undefined;
  }
  const renamed: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(part)) {
    const path = place === "" ? key : `${place}.${key}`;
    const name = Object.hasOwn(keys, key) ? keys[key] : undefined;
    if (name !== undefined) renamed[name] = value;
    else if (!Object.hasOwn(fixedOptions, path)) issues.push({ path: quote(path), problem: "isn't a known option" });
    else if (fixedOptions[path] !== undefined && value !== fixedOptions[path]) {
      issues.push({ path, problem: `is ${quote(value)} but only ${fixedOptions[path]} is supported` });
    }
  }
  return renamed;
}

function toSnakeCase(path: string): string {
  return path.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The configuration under the official names; the inverse of `parseOfficialConfig`. */
export function toOfficialConfig(config: DcAeConfig): OfficialConfig {
  const { encoder, decoder } = config;
  return {
    in_channels: config.inChannels,
    latent_channels: config.latentChannels,
    head_dim: config.headDim,
    encoder: {
      ...stageValues(encoder),
      downsample_block_type: encoder.downsampleBlockType,
      downsample_match_channel: true,
      downsample_shortcut: encoder.downsampleShortcut,
      out_norm: encoder.outNorm,
      out_act: encoder.outAct,
      out_block_type: encoder.outBlockType,
      out_shortcut: encoder.outShortcut,
      double_latent: false,
    },
    decoder: {
      in_block_type: decoder.inBlockType,
      in_shortcut: decoder.inShortcut,
      ...stageValues(decoder),
      upsample_block_type: decoder.upsampleBlockType,
      upsample_match_channel: true,
      upsample_shortcut: decoder.upsampleShortcut,
      out_norm: decoder.outNorm,
      out_act: decoder.outAct,
    },
  };
}

function stageValues(part: DcAeEncoderConfig | DcAeDecoderConfig): Record<string, unknown> {
  return {
    width_list: [...part.widthList],
    depth_list: [...part.depthList],
    block_type: collapse(part.blockType.map((block: BlockSpec) => formatBlockType(block))),
    norm: collapse(part.norm),
    act: collapse(part.act),
  };
}

function collapse<Item>(items: readonly Item[]): Item | readonly Item[] {
  const first = items[0] as Item;
  return items.every((item) => item === first) ? first : [...items];
}
