/**
 * What a config.json says about a model, whichever format it is in, and the config.json of a model in either format.
 *
 * Official repositories hold only `{"model_name": "<preset>"}`. For a model that is no preset we write two keys of our own:
 * `config` with the official constructor's values (official-config.ts), and `scaling_factor` where it is known.
 */
import { ConfigError } from "../errors.js";
import { quote } from "./config-issues.js";
import type { DcAeConfig } from "./dc-ae/dc-ae-config.js";
import { parseDiffusersConfig } from "./dc-ae/diffusers-config.js";
import { parseOfficialConfig, toOfficialConfig } from "./dc-ae/official-config.js";
import { toDiffusersConfig } from "./dc-ae/to-diffusers-config.js";
import { findPreset, getPreset } from "./find-preset.js";
import type { Preset } from "./presets.js";
import { parseKlConfig, toKlConfig } from "./sd-vae/kl-config.js";
import type { SdVaeConfig } from "./sd-vae/sd-vae-config.js";

/** A model without its weights. */
export type ModelDescription = {
  /** The preset's name, when it is one. */
  readonly preset?: string | undefined;
  /** See `Preset.scalingFactor`; null where it isn't known. */
  readonly scalingFactor: number | null;
  /** Subtracted from latents before scaling; null (none) for every DC-AE. */
  readonly shiftFactor: number | null;
} & (
  | { readonly kind: "dc-ae"; readonly config: DcAeConfig }
  | { readonly kind: "sd-vae"; readonly config: SdVaeConfig }
);

/** The checkpoint layouts that are written: the authors' own, and that of the diffusers library. */
export type CheckpointFormat = "official" | "diffusers";

/** The description of a preset. */
export function describePreset(preset: Preset): ModelDescription {
  const shared = { preset: preset.name, scalingFactor: preset.scalingFactor, shiftFactor: null };
  return preset.kind === "dc-ae"
    ? { ...shared, kind: "dc-ae", config: preset.config }
    : { ...shared, kind: "sd-vae", config: preset.config };
}

/**
 * Reads a config.json of any known format.
 *
 * @param source for messages: the file
 * @throws ConfigError when the format isn't known, or a field is wrong
 */
export function readModelConfig(json: unknown, source = "config.json"): ModelDescription {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new ConfigError(`${source}: is ${quote(json)} but must be an object`);
  }
  const file = json as Record<string, unknown>;
  if (file._class_name === "AutoencoderDC") {
    return { kind: "dc-ae", ...parseDiffusersConfig(file, source), shiftFactor: null };
  }
  if (file._class_name === "AutoencoderKL") return { kind: "sd-vae", ...parseKlConfig(file, source) };
  if (file._class_name !== undefined) {
    throw new ConfigError(
      `${source}: _class_name is ${quote(file._class_name)} but must be "AutoencoderDC" or "AutoencoderKL"`,
    );
  }
  if (file.model_name !== undefined || file.config !== undefined) return readOfficialFile(file, source);
  throw new ConfigError(`${source}: not the configuration of an autoencoder`, {
    hint: 'Expected "model_name" (official format) or "_class_name" (diffusers format).',
  });
}

function readOfficialFile(file: Readonly<Record<string, unknown>>, source: string): ModelDescription {
  const { model_name: name, config, scaling_factor: scalingFactor } = file;
  if (name !== undefined && typeof name !== "string") {
    throw new ConfigError(`${source}: model_name is ${quote(name)} but must be a string`);
  }
  if (scalingFactor !== undefined && !(typeof scalingFactor === "number" && scalingFactor > 0)) {
    throw new ConfigError(`${source}: scaling_factor is ${quote(scalingFactor)} but must be a positive number`);
  }
  // A file with its own configuration doesn't need a name that is known.
  if (config !== undefined) {
    const parsed = parseOfficialConfig(config, `${source}: config`);
    return { kind: "dc-ae", config: parsed, scalingFactor: scalingFactor ?? null, shiftFactor: null };
  }
  const description = describePreset(getPreset(name ?? ""));
  return scalingFactor === undefined ? description : { ...description, scalingFactor };
}

/**
 * The config.json of a model in one of the two formats.
 *
 * @throws ConfigError when the format can't express the model (SD-VAE has no official format)
 */
export function toModelConfigFile(model: ModelDescription, format: CheckpointFormat): Record<string, unknown> {
  if (model.kind === "sd-vae") {
    if (format === "diffusers") return toKlConfig(model.config, model);
    throw new ConfigError("SD-VAE checkpoints exist in the diffusers format only", { hint: "Use format diffusers." });
  }
  if (format === "diffusers") return toDiffusersConfig(model.config, model.scalingFactor);

  const { config, scalingFactor, preset: name } = model;
  const preset = name === undefined ? undefined : findPreset(name);
  const scaling = scalingFactor === null ? {} : { scaling_factor: scalingFactor };
  const official = toOfficialConfig(config);
  const isPreset =
    preset?.kind === "dc-ae" && JSON.stringify(toOfficialConfig(preset.config)) === JSON.stringify(official);
  if (!isPreset) return { config: official, ...scaling };
  if (scalingFactor === preset.scalingFactor) return { model_name: preset.name };
  // Without a factor of its own in the file, a name would bring the preset's back.
  return scalingFactor === null ? { config: official } : { model_name: preset.name, ...scaling };
}
