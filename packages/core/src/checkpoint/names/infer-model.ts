/**
 * Which format a checkpoint is in, by its names alone (dcae.md sections 6 and 10), and which published model it is where there is
 * no usable config.json, by the names and shapes of its arrays.
 *
 * Names and shapes don't tell everything (activations, scaling factors), so they are compared as a whole with those of the
 * published architectures; a model of one's own needs its configuration.
 */
import { CheckpointError, ConfigError } from "../../errors.js";
import type { Preset } from "../../models/families.js";
import {
  FAMILIES,
  familyOf,
  familyOfFormat,
  KINDS,
  type ModelConfig,
  type WeightFormat,
} from "../../models/families.js";
import type { WeightNames } from "../../models/family.js";
import { describePreset, type ModelDescription } from "../../models/model-description.js";
import { modelParameters } from "../../models/model-programs.js";
import { quoted } from "../json-text.js";
import type { Weights } from "../weights.js";
import { isOptionalBuffer, planWeights } from "./weight-plan.js";

/**
 * @param names names of all arrays
 * @param source for messages: the file
 * @throws CheckpointError when the names are those of no format, or of several at once
 */
/**
 * The layout of a checkpoint, told by the names of its tensors.
 *
 * @throws CheckpointError when they fit none, or several
 */
export function recognizeFormat(names: Iterable<string>, source = "checkpoint"): WeightFormat {
  const all = [...names];
  const formats = KINDS.flatMap((kind) => {
    const rows = Object.entries<WeightNames>(FAMILIES[kind].weightNames);
    return rows.filter(([, { fits }]) => fits(all)).map(([name]) => name as WeightFormat);
  });
  const [format, second] = formats;
  if (format !== undefined && second === undefined) return format;
  if (format !== undefined) {
    throw new CheckpointError(`${source}: has tensors of several formats at once: ${formats.join(", ")}`);
  }
  throw unknownFormat(all, source);
}

function unknownFormat(names: readonly string[], source: string): CheckpointError {
  if (names.length === 0) return new CheckpointError(`${source}: holds no tensors`);
  const message = `${source}: not an autoencoder checkpoint of a known format; its first tensor is ${quoted(names[0] ?? "")}`;
  const prefix = wrapperPrefix(names);
  const hint =
    prefix === undefined
      ? "Known are DC-AE (official and diffusers) and SD-VAE (diffusers and LDM) files."
      : `The autoencoder's tensors may be those that begin with ${quoted(prefix)}: save them in a file of their own, without that prefix.`;
  return new CheckpointError(message, { hint });
}

/** What stands before the names of an autoencoder, as in "autoencoder." or "first_stage_model."; undefined for nothing. */
function wrapperPrefix(names: readonly string[]): string | undefined {
  for (const name of names) {
    const at = name.search(/(?<=\.)(encoder|decoder)\.\w/);
    if (at > 0) return name.slice(0, at);
  }
  return undefined;
}

/**
 * Weights without the prefix that a wrapper put before all names, as training code does that saves the module around the
 * autoencoder. Where some names lack it there is more in the file than an autoencoder, and the weights are given back as they are.
 */
export function unwrapWeights(weights: Weights): Weights {
  const names = [...weights.entries.keys()];
  const prefix = wrapperPrefix(names);
  if (prefix === undefined || !names.every((name) => name.startsWith(prefix))) return weights;
  const entries = [...weights.entries].map(([name, entry]) => {
    const inner = name.slice(prefix.length);
    return [inner, { ...entry, name: inner }] as const;
  });
  return { source: weights.source, entries: new Map(entries), close: () => weights.close() };
}

/** An architecture that has exactly the arrays of a file, and the presets that share it. */
export interface ModelMatch {
  readonly model: ModelConfig;
  readonly presets: readonly Preset[];
}

type Arrays = Pick<Weights, "source"> & {
  readonly entries: ReadonlyMap<string, { readonly shape: readonly number[] }>;
};

/** The published architectures that have exactly these arrays. Several when names and shapes don't tell them apart. */
export function matchPublishedModels(weights: Arrays, format: WeightFormat): ModelMatch[] {
  const names = [...weights.entries.keys()];
  return publishedModels(format)
    .map(({ model, presets }) => ({ model: withoutMissingPart(model, names, format), presets }))
    .filter(({ model }) => hasExactly(weights, model, format));
}

/** A model without the half that a file in the format has nothing of, where its family can do without. */
export function withoutMissingPart<M extends ModelConfig>(model: M, names: readonly string[], format: WeightFormat): M {
  const config = familyOf(model).withoutMissingPart?.(model.config, names, format);
  return config === undefined ? model : { ...model, config };
}

/** One for each architecture, with the configuration of its first preset. */
function publishedModels(format: WeightFormat): ModelMatch[] {
  const kind = familyOfFormat(format);
  const presets: readonly Preset[] = FAMILIES[kind].presets;
  const family = familyOf({ kind });
  const architectureOf = ({ config }: Preset) => JSON.stringify(family.architecture?.(config) ?? config);
  const byArchitecture = new Map<string, Preset[]>();
  for (const preset of presets) {
    const key = architectureOf(preset);
    byArchitecture.set(key, [...(byArchitecture.get(key) ?? []), preset]);
  }
  return [...byArchitecture.values()].map((group) => ({
    model: { kind, config: (group[0] as Preset).config } as ModelConfig,
    presets: group,
  }));
}

function hasExactly(weights: Arrays, model: ModelConfig, format: WeightFormat): boolean {
  let found = 0;
  for (const { spec, pieces } of planWeights(modelParameters(model), format)) {
    for (const { name, shape } of pieces) {
      const entry = weights.entries.get(name);
      if (entry === undefined && isOptionalBuffer(spec)) continue;
      if (entry?.shape.join() !== shape.join()) return false;
      found += 1;
    }
  }
  return found === weights.entries.size;
}

/**
 * The model that a checkpoint holds. The preset and its scale are known only where all presets of the architecture
 * agree on them: the `in` and `mix` models, for example, differ in nothing but their values.
 *
 * @throws CheckpointError when the format isn't known
 * @throws ConfigError when no published model has these arrays, or several different ones have
 */
export function inferModel(weights: Arrays): ModelDescription {
  const format = recognizeFormat(weights.entries.keys(), weights.source);
  const matches = matchPublishedModels(weights, format);
  const [match, ...others] = matches;
  if (match === undefined) {
    const kind = familyOfFormat(format);
    const arrays = [...weights.entries].map(([name, { shape }]) => ({ name, shape }));
    const inferred = familyOf({ kind }).inferConfig?.(arrays, format, weights.source);
    if (inferred !== undefined) return { kind, ...inferred } as ModelDescription;
    throw new ConfigError(`${weights.source}: no published model has these tensors`, {
      hint: "Pass the model's configuration: its activations can't be seen in the tensors.",
    });
  }
  if (others.length > 0) {
    const names = matches.flatMap(({ presets }) => presets.map(({ name }) => name));
    throw new ConfigError(`${weights.source}: its tensors fit several models: ${names.join(", ")}`, {
      hint: "Pass the name of the preset.",
    });
  }
  const { model, presets } = match;
  const [first, ...rest] = presets.map((preset) => describePreset(preset));
  const agree = rest.every(
    (other) => other.scalingFactor === first?.scalingFactor && other.shiftFactor === first?.shiftFactor,
  );
  return {
    ...model,
    preset: rest.length === 0 ? first?.preset : undefined,
    scalingFactor: agree ? (first?.scalingFactor ?? null) : null,
    shiftFactor: agree ? (first?.shiftFactor ?? null) : null,
  };
}
