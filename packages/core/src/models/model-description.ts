/**
 * What a config.json says about a model, whichever format it is in, and the config.json of a model in either format.
 *
 * Official repositories hold only `{"model_name": "<preset>"}`. For a model that is no preset we write keys of our own: `config`
 * with the official constructor's values, `family` where that isn't DC-AE, `scaling_factor` where it is known, and `shift_factor`
 * where something is taken off first.
 */
import { didYouMean } from "../closest-name.js";
import { ConfigError } from "../errors.js";
import { quote } from "./config-issues.js";
import {
  FAMILIES,
  familyOf,
  KINDS,
  type Kind,
  type ModelConfig,
  nameOfFamily,
  PRESETS,
  type Preset,
} from "./families.js";
import type { CheckpointFormat, LatentScaling } from "./family.js";

/** A model without its weights. `scalingFactor` is null where it isn't known, see `Preset.scalingFactor`. */
export type ModelDescription<K extends Kind = Kind> = ModelConfig<K> &
  LatentScaling & {
    /** The preset's name, when it is one. */
    readonly preset?: string | undefined;
  };

/** The description of a preset. */
export function describePreset<P extends Preset>({
  kind,
  config,
  name,
  scalingFactor,
  shiftFactor,
}: P): ModelDescription<P["kind"]> {
  return { kind, config, preset: name, scalingFactor, shiftFactor: shiftFactor ?? null } as ModelDescription<P["kind"]>;
}

/**
 * The description as that of a family.
 *
 * @param subject of the message: what was given
 * @throws ConfigError saying what the model is instead
 */
export function requireFamily<K extends Kind>(
  model: ModelDescription,
  kind: K,
  subject: string,
  hint?: string,
): ModelDescription<K> {
  if (model.kind === (kind as Kind)) return model as ModelDescription<K>;
  const message = `${subject}: is ${nameOfFamily(model.kind)}, not ${nameOfFamily(kind)}`;
  throw new ConfigError(message, { hint: hint ?? `Load it with ${familyOf(model).className}.fromPretrained.` });
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
  const name = file._class_name;
  const kind = KINDS.find((candidate) => FAMILIES[candidate].className === name);
  if (kind !== undefined) return { kind, ...FAMILIES[kind].readConfig(file, source) } as ModelDescription;
  if (name !== undefined) {
    const known = KINDS.map((candidate) => quote(FAMILIES[candidate].className)).join(" or ");
    throw new ConfigError(`${source}: _class_name is ${quote(name)} but must be ${known}`);
  }
  if (file.model_name !== undefined || file.config !== undefined) return readOfficialFile(file, source);
  throw new ConfigError(`${source}: not the configuration of an autoencoder`, {
    hint: 'Expected "model_name" (official format) or "_class_name" (diffusers format).',
  });
}

function readOfficialFile(file: Readonly<Record<string, unknown>>, source: string): ModelDescription {
  const { model_name: name, config, family = "dc-ae" } = file;
  const { scaling_factor: scalingFactor, shift_factor: shiftFactor } = file;
  if (name !== undefined && typeof name !== "string") {
    throw new ConfigError(`${source}: model_name is ${quote(name)} but must be a string`);
  }
  if (scalingFactor !== undefined && !(typeof scalingFactor === "number" && scalingFactor > 0)) {
    throw new ConfigError(`${source}: scaling_factor is ${quote(scalingFactor)} but must be a positive number`);
  }
  if (shiftFactor !== undefined && !(typeof shiftFactor === "number" && Number.isFinite(shiftFactor))) {
    throw new ConfigError(`${source}: shift_factor is ${quote(shiftFactor)} but must be a number`);
  }
  const scaling = {
    ...(scalingFactor === undefined ? {} : { scalingFactor }),
    ...(shiftFactor === undefined ? {} : { shiftFactor }),
  };
  // A file with its own configuration doesn't need a name that is known.
  if (config !== undefined) {
    const kinds = KINDS.filter((candidate) => familyOf({ kind: candidate }).officialConfig !== undefined);
    const kind = kinds.find((candidate) => candidate === family);
    if (kind === undefined) {
      throw new ConfigError(`${source}: family is ${quote(family)} but must be ${kinds.map(quote).join(" or ")}`);
    }
    const parsed = familyOf({ kind }).officialConfig?.read(config, `${source}: config`);
    return { kind, config: parsed, scalingFactor: null, shiftFactor: null, ...scaling } as ModelDescription;
  }
  return { ...describePreset(getPreset(name ?? "")), ...scaling };
}

/** The layouts that a model's checkpoints exist in, the usual one first. */
export function checkpointFormats(kind: Kind): CheckpointFormat[] {
  return Object.keys(FAMILIES[kind].layouts) as CheckpointFormat[];
}

/** @throws ConfigError where the family has no such layout */
/**
 * Refuses a layout that checkpoints of this kind don't have.
 *
 * @throws ConfigError that names those it has
 */
export function checkCheckpointFormat(kind: Kind, format: CheckpointFormat): void {
  const formats = checkpointFormats(kind);
  if (formats.includes(format)) return;
  throw new ConfigError(`${FAMILIES[kind].label} checkpoints exist in the ${formats.join(" and ")} format only`, {
    hint: `Use format ${formats[0]}.`,
  });
}

/** The configuration as the family's usual checkpoints have it; for people to read. */
export function configValues(model: ModelDescription): Readonly<Record<string, unknown>> {
  const { officialConfig, writeConfig } = familyOf(model);
  const isOfficial = checkpointFormats(model.kind)[0] === "official";
  return (isOfficial ? officialConfig?.write(model.config) : undefined) ?? writeConfig(model.config, model);
}

/**
 * The config.json of a model in one of the two formats.
 *
 * @throws ConfigError when the format can't express the model
 */
export function toModelConfigFile(model: ModelDescription, format: CheckpointFormat): Record<string, unknown> {
  checkCheckpointFormat(model.kind, format);
  const { officialConfig, writeConfig } = familyOf(model);
  if (format === "diffusers" || officialConfig === undefined) return writeConfig(model.config, model);

  const { config, scalingFactor, shiftFactor, preset: name } = model;
  const preset = name === undefined ? undefined : findPreset(name);
  const scaling = {
    ...(scalingFactor === null ? {} : { scaling_factor: scalingFactor }),
    ...(shiftFactor === null ? {} : { shift_factor: shiftFactor }),
  };
  // Files without it are of DC-AE.
  const own = model.kind === "dc-ae" ? {} : { family: model.kind };
  const official = officialConfig.write(config);
  const isPreset =
    preset?.kind === model.kind && JSON.stringify(officialConfig.write(preset.config)) === JSON.stringify(official);
  if (!isPreset) return { ...own, config: official, ...scaling };
  const published = describePreset(preset);
  if (scalingFactor === published.scalingFactor && shiftFactor === published.shiftFactor)
    return { model_name: preset.name };
  // Without a factor of its own in the file, a name would bring the preset's back.
  const forgets =
    (scalingFactor === null && published.scalingFactor !== null) ||
    (shiftFactor === null && published.shiftFactor !== null);
  return forgets ? { ...own, config: official, ...scaling } : { model_name: preset.name, ...scaling };
}

/** Owners of the published repositories. The same name under another owner may be any model, so it isn't a preset. */
const OWNERS: ReadonlySet<string> = new Set(["mit-han-lab", "dc-ai", "stabilityai", "cross-attention"]);

/**
 * DC-AE 1.1 and 1.5 were also published as retrained variants for fewer latent channels, under these suffixes. The
 * architecture is the base model's, with all 128 channels.
 */
const CHANNEL_VARIANT = /^(dc-ae-f32c128-1\.[15])-c(16|32|48|64|80|96|112)$/;

/** The preset of that name, or undefined. Case doesn't matter. */
export function findPreset(name: string): Preset | undefined {
  const parts = name.toLowerCase().split("/");
  const plain = parts.at(-1)?.replace(/-diffusers$/, "");
  if (plain === undefined || parts.length > 2 || (parts.length === 2 && !OWNERS.has(parts[0] ?? ""))) return undefined;

  const preset = PRESETS.find((candidate) => candidate.name === plain || candidate.aliases.includes(plain));
  if (preset !== undefined) return preset;

  const base = CHANNEL_VARIANT.exec(plain)?.[1];
  const basePreset = base === undefined ? undefined : PRESETS.find((candidate) => candidate.name === base);
  if (basePreset === undefined) return undefined;
  return { ...basePreset, name: plain, hubId: `dc-ai/${plain}`, scalingFactor: null };
}

/**
 * The preset of that name.
 *
 * @throws ConfigError that lists the names
 * @example
 * ```ts
 * import { getPreset, PRESETS } from "@dcae/core";
 *
 * const { hubId, scalingFactor } = getPreset("dc-ae-f64c128-in-1.0");
 * console.log(hubId, scalingFactor, Object.keys(PRESETS).length);
 * ```
 */
export function getPreset(name: string): Preset {
  const preset = findPreset(name);
  if (preset === undefined) throw unknownPreset(name, []);
  return preset;
}

/** @param others what the name might have stood for besides presets */
function unknownPreset(name: string, others: readonly string[]): ConfigError {
  const names = PRESETS.map((candidate) => candidate.name);
  const meant = [...others, ...names, ...PRESETS.flatMap(({ aliases }) => aliases)];
  const listed = others.length === 0 ? "" : ` Besides, ${others.map(quote).join(", ")} comes with @dcae/core.`;
  return new ConfigError(`unknown preset ${quote(name)}${didYouMean(name.split("/").at(-1) ?? "", meant)}`, {
    hint: `Known presets: ${names.join(", ")}.${listed}`,
  });
}

/**
 * The small autoencoder that the package carries: a DC-AE f32 with 32 channels and 4.6 million parameters, trained by this
 * project (recipe "small-f32" of @dcae/train), for first tries, tests and demos without a network.
 */
export const BUNDLED_MODEL = "small-f32";

/**
 * The hub repository that a single word stands for, where models are named: that of the preset of this name. With the ending
 * `-diffusers` it is the one in that layout.
 *
 * @throws ConfigError for a name that is no preset's (the bundled model is somewhere else, which the platform knows), or where the
 *   preset has no repository
 */
export function namedRepository(name: string): string {
  const preset = findPreset(name);
  if (preset === undefined) throw unknownPreset(name, [BUNDLED_MODEL]);
  return presetHubId(preset, name.toLowerCase().endsWith("-diffusers") ? "diffusers" : undefined);
}

/**
 * The hub repository of a preset in a layout, by default the usual one of its family.
 *
 * @throws ConfigError when none is known
 */
export function presetHubId(preset: Preset, format?: CheckpointFormat): string {
  const { layouts } = familyOf(preset);
  const [usual] = Object.keys(layouts) as [CheckpointFormat];
  const layout = layouts[format ?? usual];
  if (preset.hubId === null || layout === undefined || layout.hubSuffix === null) {
    throw new ConfigError(`no hub repository in the ${format ?? usual} format is known for ${preset.name}`, {
      hint: preset.hubId === null ? "Pass a local folder." : `Use the ${usual} format.`,
    });
  }
  return `${preset.hubId}${layout.hubSuffix}`;
}
