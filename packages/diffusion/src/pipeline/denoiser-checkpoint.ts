/**
 * A denoiser with its weights: what a checkpoint's config.json means, and whether the file holds just this network.
 *
 * Published repositories say `{"model_name": "<id>"}`. Ours say `{"arch", "model"}` with the official constructor arguments,
 * the autoencoder's name, and the scaling factor.
 */
import { CheckpointError, ConfigError } from "@dcae/core";
import { checkWeights, type WeightEntry, type Weights } from "@dcae/core/checkpoint";
import type { ParameterSpec } from "@dcae/core/graph";
import { initializeParameter } from "@dcae/core/models";
import { denoiserParameters } from "../denoisers/denoise.js";
import { type ParsedDenoiser, parseOfficialDenoiser, toOfficialDenoiser } from "../denoisers/official-config.js";
import { findPublishedDenoiser, PUBLISHED_DENOISERS } from "../denoisers/presets.js";
import type { ChannelScale } from "../latents/channel-scale.js";

/** All that is known of a denoiser: configuration, autoencoder, scale, classes. */
export interface DenoiserDescription extends ParsedDenoiser {
  /** Preset, repository or folder of the autoencoder whose latents it takes; null where that isn't known. */
  readonly autoencoder: string | null;
  /** Latents are multiplied by it before the denoiser sees them; null where that isn't known. */
  readonly scalingFactor: number | null;
  /** Subtracted from latents before that; 0 where a config doesn't say. */
  readonly shiftFactor: number;
  /** Names of the classes, where they have any. */
  readonly classes: readonly string[] | null;
  /** Where it works on channels of mean 0 and deviation 1: what those of scaled latents have. */
  readonly channels?: ChannelScale | undefined;
}

/**
 * Reads a config.json.
 *
 * @param source for messages: the file
 * @throws ConfigError when it describes no denoiser
 */
export function parseDenoiserConfig(json: unknown, source: string): DenoiserDescription {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new ConfigError(
      `${source}: must be an object, got ${Array.isArray(json) ? "a list" : JSON.stringify(json)}`,
      {
        hint: 'Expected "model_name" (published models), or "arch" and "model".',
      },
    );
  }
  const fields = json as Readonly<Record<string, unknown>>;
  const { model_name: name, arch, model, autoencoder = null, scaling_factor: factor = null, classes = null } = fields;
  // Written as null where there is none, as by diffusers.
  const shift = fields.shift_factor ?? 0;
  if (typeof name === "string" && arch === undefined) {
    const published = findPublishedDenoiser(name);
    if (published === undefined) {
      throw new ConfigError(`${source}: "${name}" isn't a published diffusion model`, {
        hint: `Known: ${PUBLISHED_DENOISERS.map((known) => known.name).join(", ")}.`,
      });
    }
    const { config, recipe, autoencoder: preset, scalingFactor } = published;
    return { config, recipe, autoencoder: preset, scalingFactor, shiftFactor: 0, classes: null };
  }
  if (typeof arch !== "string") {
    throw new ConfigError(`${source}: not the configuration of a diffusion model`, {
      hint: 'Expected "model_name" (published models), or "arch" and "model".',
    });
  }
  if (!(autoencoder === null || typeof autoencoder === "string")) {
    throw new ConfigError(`${source}: autoencoder is ${shown(autoencoder)} but must be a name or a path`);
  }
  if (!(factor === null || (typeof factor === "number" && factor > 0 && Number.isFinite(factor)))) {
    throw new ConfigError(`${source}: scaling_factor is ${shown(factor)} but must be a positive number`);
  }
  if (!(typeof shift === "number" && Number.isFinite(shift))) {
    throw new ConfigError(`${source}: shift_factor is ${shown(shift)} but must be a number`);
  }
  const isNames = Array.isArray(classes) && classes.every((entry) => typeof entry === "string");
  const parsed = parseOfficialDenoiser(arch, model, `${source}: model`);
  if (classes !== null && !(isNames && classes.length === parsed.config.numClasses)) {
    throw new ConfigError(`${source}: classes must be ${parsed.config.numClasses} names`);
  }
  return {
    ...parsed,
    ...{ autoencoder, scalingFactor: factor, shiftFactor: shift, classes: classes as readonly string[] | null },
    ...parseChannels(fields, parsed.config.inChannels, source),
  };
}

/** `channel_mean` and `channel_std`, which come together or not at all. */
function parseChannels(
  { channel_mean: mean = null, channel_std: std = null }: Readonly<Record<string, unknown>>,
  count: number,
  source: string,
): Pick<DenoiserDescription, "channels"> {
  if (mean === null && std === null) return {};
  const isList = (values: unknown, accepts: (value: number) => boolean) =>
    Array.isArray(values) &&
    values.length === count &&
    values.every((value) => typeof value === "number" && Number.isFinite(value) && accepts(value));
  if (!isList(mean, () => true)) throw new ConfigError(`${source}: channel_mean must be ${count} numbers`);
  if (!isList(std, (value) => value > 0))
    throw new ConfigError(`${source}: channel_std must be ${count} positive numbers`);
  return { channels: { mean: mean as number[], std: std as number[] } };
}

function shown(value: unknown): string {
  return typeof value === "number" ? String(value) : (JSON.stringify(value) ?? "undefined").slice(0, 80);
}

/** The config.json of a denoiser; `parseDenoiserConfig` reads it back. */
export function toDenoiserConfig(description: DenoiserDescription): Readonly<Record<string, unknown>> {
  const { autoencoder, scalingFactor, shiftFactor, classes, channels } = description;
  return {
    ...toOfficialDenoiser(description),
    autoencoder,
    scaling_factor: scalingFactor,
    shift_factor: shiftFactor,
    ...(classes === null ? {} : { classes }),
    ...(channels === undefined ? {} : { channel_mean: channels.mean, channel_std: channels.std }),
  };
}

/**
 * The weights of a denoiser, checked against its configuration. A fixed position embedding that the file lacks is computed, as
 * newer training checkpoints leave it out.
 *
 * @param weights of the denoiser alone, under official names
 * @throws CheckpointError that lists what is missing, unexpected or misshaped
 */
export function checkDenoiserWeights(weights: Weights, { config }: Pick<ParsedDenoiser, "config">): Weights {
  const specs = denoiserParameters(config);
  const entries = new Map(weights.entries);
  for (const spec of specs) {
    if (spec.init.kind === "computed" && !entries.has(spec.name)) entries.set(spec.name, computedEntry(spec));
  }
  const complete: Weights = { ...weights, entries };
  const plan = specs.map((spec) => ({ spec, pieces: [{ name: spec.name, shape: spec.shape }] }));
  checkWeights(plan, complete, { model: `this ${config.arch}` });
  return complete;
}

function computedEntry(spec: ParameterSpec): WeightEntry {
  const { name, dtype, shape } = spec;
  return { name, dtype, shape, read: async () => initializeParameter(spec, 0) };
}

// The denoiser's and the autoencoder's arrays in a file that may hold both, under whatever prefix (diffusion.md section 14).
//
// Published files have `diffusion_model.` and `autoencoder.`. Training checkpoints have several copies of the network; the
// averaged one (EMA) is the one to use, as in the published evaluations.

/** The parameter that every denoiser begins with, by architecture. */
const MARKERS = ["x_embedder.proj.weight", "patch_embed.proj.weight"];

/** Entries below `prefix`, under names without it. Closing it closes `weights`. */
export function weightsBelow(weights: Weights, prefix: string): Weights {
  const entries = [...weights.entries.values()]
    .filter(({ name }) => name.startsWith(prefix))
    .map((entry): [string, WeightEntry] => [
      entry.name.slice(prefix.length),
      { ...entry, name: entry.name.slice(prefix.length) },
    ]);
  return { source: weights.source, entries: new Map(entries), close: () => weights.close() };
}

/** Prefixes under which the file holds a denoiser, the one to use first. */
function denoiserPrefixes(names: Iterable<string>): string[] {
  const prefixes = [...names].flatMap((name) =>
    MARKERS.filter((marker) => name === marker || name.endsWith(`.${marker}`)).map((marker) =>
      name.slice(0, name.length - marker.length),
    ),
  );
  const rank = (prefix: string) =>
    /(^|[._])ema[._]/.test(prefix) ? 0 : prefix === "diffusion_model." ? 1 : prefix.length + 2;
  return prefixes.sort((a, b) => rank(a) - rank(b));
}

/**
 * The denoiser's arrays under official names.
 *
 * @throws CheckpointError when there is no denoiser in the file
 */
export function denoiserWeights(weights: Weights): Weights {
  const [prefix] = denoiserPrefixes(weights.entries.keys());
  if (prefix === undefined) {
    throw new CheckpointError(`${weights.source}: holds no UViT, DiT or SANA-cls`, {
      hint: `Expected a tensor ${MARKERS.join(" or ")}, with or without a prefix.`,
    });
  }
  return weightsBelow(weights, prefix);
}

// Which denoiser a file holds, from names and shapes alone, for checkpoints without configuration (the original DiT, SiT and
// U-ViT files, and training checkpoints).
//
// Everything but the number of heads shows in the shapes; heads follow from the width, as in every published size. Whether a
// UViT predicts noise or velocity doesn't show: noise is assumed, as most files do.

/** Heads of the published sizes by width. */
const HEADS: Readonly<Record<number, number>> = { 384: 6, 512: 8, 768: 12, 1024: 16, 1152: 16, 2048: 32 };

/**
 * @param weights of the denoiser alone, under official names
 * @throws ConfigError when the shapes don't say enough
 */
export function inferDenoiser(weights: Weights): ParsedDenoiser {
  const shape = (name: string) => weights.entries.get(name)?.shape;
  const unknown = (reason: string): never => {
    throw new ConfigError(`${weights.source}: can't tell the configuration from the tensors (${reason})`, {
      hint: 'Give it as an option: denoiser: { arch: "uvit" | "dit" | ..., model: { ... } }.',
    });
  };
  const isUVit = shape("patch_embed.proj.weight") !== undefined;
  const embed = shape(isUVit ? "patch_embed.proj.weight" : "x_embedder.proj.weight");
  const position = shape("pos_embed");
  const [width, channels, patch] = embed ?? [];
  if (width === undefined || channels === undefined || patch === undefined) return unknown("no patch embedding");
  if (position === undefined) return unknown("no position embedding, so the latent size isn't known");
  const heads = HEADS[width] ?? unknown(`no published model is ${width} wide`);
  const hidden = shape(isUVit ? "mid_block.mlp.fc1.weight" : "blocks.0.mlp.fc1.weight")?.[0] ?? unknown("no MLP");
  const shared = {
    hidden_size: width,
    num_heads: heads,
    in_channels: channels,
    patch_size: patch,
    mlp_ratio: hidden / width,
  };
  const side = (extras: number) => Math.round(Math.sqrt((position[1] ?? 0) - extras)) * patch;
  const blocks = (prefix: string) => new Set([...weights.entries.keys()].flatMap((name) => blockOf(name, prefix))).size;

  if (!isUVit) {
    const rows = shape("final_layer.linear.weight")?.[0] ?? unknown("no final layer");
    const learnSigma = rows === 2 * patch * patch * channels;
    const classes = shape("y_embedder.embedding_table.weight")?.[0];
    // The original DiT is told by its learned variance and the four channels of SD-VAE: it guides three of them.
    return parseOfficialDenoiser(learnSigma && channels === 4 ? "dit_orig" : "dit", {
      ...shared,
      depth: blocks("blocks."),
      input_size: side(0),
      learn_sigma: learnSigma,
      train_scheduler: learnSigma ? "GaussianDiffusion" : "SiTSampler",
      ...(classes === undefined ? { unconditional: true } : { num_classes: classes - 1 }),
    });
  }
  const depth = 2 * blocks("in_blocks.") + (shape("in_blocks.0.norm1.weight") === undefined ? 1 : 0);
  const original = shape("label_emb.weight");
  const own = shape("label_emb.embedding_table.weight");
  const extras = original === undefined && own === undefined ? 1 : 2;
  const flags = {
    qkv_bias: shape("mid_block.attn.qkv.bias") !== undefined,
    mlp_time_embed: shape("time_embed.0.weight") !== undefined,
  };
  if (own !== undefined) {
    const keys = { ...shared, ...flags, depth, input_size: side(extras), num_classes: (own[0] ?? 1) - 1 };
    return parseOfficialDenoiser("uvit", keys);
  }
  const { hidden_size, num_heads, in_channels, patch_size, mlp_ratio } = shared;
  return parseOfficialDenoiser("uvit_orig", {
    embed_dim: hidden_size,
    num_heads,
    in_chans: in_channels,
    patch_size,
    mlp_ratio,
    ...flags,
    depth,
    img_size: side(extras),
    num_classes: original?.[0] ?? -1,
    conv: shape("final_layer.weight") !== undefined,
  });
}

function blockOf(name: string, prefix: string): string[] {
  return name.startsWith(prefix) ? [name.slice(prefix.length).split(".")[0] ?? ""] : [];
}
