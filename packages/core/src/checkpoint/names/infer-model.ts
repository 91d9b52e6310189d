/**
 * Which format a checkpoint is in, by its names alone (dcae.md sections 6 and 10), and which published model it is where there is
 * no usable config.json, by the names and shapes of its arrays.
 *
 * Names and shapes don't tell everything (activations, scaling factors), so they are compared as a whole with those of the
 * published architectures; a model of one's own needs its configuration.
 */
import { CheckpointError, ConfigError } from "../../errors.js";
import { ARCHITECTURES, type ArchitectureId } from "../../models/dc-ae/architectures.js";
import type { ModelDescription } from "../../models/model-description.js";
import { type ModelConfig, modelParameters } from "../../models/model-parameters.js";
import { PRESETS, type Preset } from "../../models/presets.js";
import { quoted } from "../json-text.js";
import type { Weights } from "../weights.js";
import { isOptionalBuffer, planWeights } from "./weight-plan.js";

/**
 * - `official`: DC-AE as its authors publish it
 * - `diffusers`: DC-AE as `AutoencoderDC` names it
 * - `kl-diffusers`: SD-VAE as `AutoencoderKL` names it
 * - `kl-diffusers-old`: the same with the attention names of 2022
 * - `kl-ldm`: SD-VAE as the original code of latent diffusion names it
 */
export type WeightFormat = "official" | "diffusers" | "kl-diffusers" | "kl-diffusers-old" | "kl-ldm";

const OLD_ATTENTION = /\.mid_block\.attentions\.0\.(query|key|value|proj_attn)\./;

/**
 * @param names names of all arrays
 * @param source for messages: the file
 * @throws CheckpointError when the names are those of no format, or of several at once
 */
export function recognizeFormat(names: Iterable<string>, source = "checkpoint"): WeightFormat {
  const all = [...names];
  const some = (prefix: string) => all.some((name) => name.startsWith(prefix));
  const formats: WeightFormat[] = [];
  if (some("encoder.project_in.")) formats.push("official");
  if (some("encoder.down_blocks.") && some("encoder.conv_in.") && all.includes("decoder.norm_out.weight")) {
    formats.push("diffusers");
  }
  if (some("encoder.mid_block.")) {
    formats.push(all.some((name) => OLD_ATTENTION.test(name)) ? "kl-diffusers-old" : "kl-diffusers");
  }
  if (some("encoder.mid.block_1.")) formats.push("kl-ldm");

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
