/**
 * Which published model a checkpoint without a usable config.json is, by the names and shapes of its arrays.
 *
 * Names and shapes don't tell everything (activations, scaling factors), so they are compared as a whole with those of the
 * published architectures; a model of one's own needs its configuration.
 */
import { ConfigError } from "../errors.js";
import { ARCHITECTURES, type ArchitectureId } from "../models/dc-ae/architectures.js";
import type { ModelDescription } from "../models/model-description.js";
import { type ModelConfig, modelParameters } from "../models/model-parameters.js";
import { PRESETS, type Preset } from "../models/presets.js";
import { isOptionalBuffer } from "./optional-buffer.js";
import { recognizeFormat, type WeightFormat } from "./recognize-format.js";
import { planWeights } from "./weight-plan.js";
import type { Weights } from "./weights.js";

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
  return publishedModels(format).filter(({ model }) => hasExactly(weights, model, format));
}

function publishedModels(format: WeightFormat): ModelMatch[] {
  if (format.startsWith("kl-")) {
    const presets = PRESETS.filter((preset) => preset.kind === "sd-vae");
    const [first] = presets;
    return first === undefined ? [] : [{ model: { kind: "sd-vae", config: first.config }, presets }];
  }
  return (Object.keys(ARCHITECTURES) as ArchitectureId[]).map((id) => ({
    model: { kind: "dc-ae", config: ARCHITECTURES[id].config },
    presets: PRESETS.filter((preset) => preset.kind === "dc-ae" && preset.architecture === id),
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
 * The model that a checkpoint holds. The preset and its scaling factor are known only where all presets of the architecture
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
  const factors = new Set(presets.map(({ scalingFactor }) => scalingFactor));
  return {
    ...model,
    preset: presets.length === 1 ? presets[0]?.name : undefined,
    scalingFactor: factors.size === 1 ? (presets[0]?.scalingFactor ?? null) : null,
    shiftFactor: null,
  };
}
