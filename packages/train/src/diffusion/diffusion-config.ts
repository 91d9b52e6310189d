/**
 * The training of a diffusion model as data. Recipes (the package's folder `configs/diffusion/`) and files of users have the same form.
 *
 * Defaults are the published values (diffusion.md section 11) where all published trainings agree.
 */
import { join } from "node:path";
import { SAMPLERS, SIZES, type SizeName } from "@dcae/diffusion";
import { ARCHITECTURE_NAMES } from "@dcae/diffusion/internal";
import { z } from "zod";
import { extendConfig, readJsonFile, recipeFile, recipeNames } from "../configs/load-config.js";
import { parseConfig } from "../configs/parse-config.js";
import { channelsSchema, emaSchema, measuredSchema, optimizerSchema } from "../configs/schema.js";
import { RECIPE_FOLDER } from "../recipe-folder.js";

const count = z.int().min(1);
const sizeNames = Object.keys(SIZES) as [SizeName, ...SizeName[]];
/** Official constructor arguments. */
const keys = z.record(z.string(), z.unknown()).default({});

const samples = z.strictObject({
  /** Names of classes, numbers, or the name "null" for no class; null shows as many classes as fit. */
  labels: z
    .array(z.union([z.string(), z.int().min(0)]))
    .min(1)
    .nullable()
    .default(null),
  perLabel: count.default(4),
  guidance: z.number().min(0).default(1),
  sampler: z.enum(SAMPLERS).nullable().default(null),
  steps: count.nullable().default(null),
  seed: z.int().min(0).default(0),
});

/** Latents that a training is meant for. */
const plannedFor = z.strictObject({
  channels: count,
  /** Latent side. */
  size: count,
  classes: z.int().min(0),
});

const data = z.strictObject({
  /** Folder of latents, as `dcae latents` or the reference writes it. */
  path: z.string().min(1),
  /** Folder of latents to evaluate on; null: latents of `path`. */
  validation: z.string().min(1).nullable().default(null),
  /**
   * Give every channel mean 0 and deviation 1, by the statistics of the folder, before the network sees it; the model says so, and
   * its samples are taken back.
   */
  normalizeChannels: z.boolean().default(false),
});

/** The schema of trainings of diffusion models. */
export const diffusionConfigSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9.-]*$/),
  about: z.string(),
  /** How to run it. */
  command: z.string().optional(),
  /** How long it should take, and where; null where nobody has tried. */
  expectedTime: z.string().nullable().default(null),
  /** What came out; null: not yet measured. */
  results: measuredSchema.nullable().default(null),
  /** Which latents a plan is about while there are none yet; a training takes all of it from its latents. */
  plannedFor: plannedFor.nullable().default(null),
  /** A published size, or an architecture with the official constructor's arguments; what the latents say needn't be given. */
  denoiser: z.union(
    [
      z.strictObject({ size: z.enum(sizeNames), model: keys }),
      z.strictObject({ arch: z.enum(ARCHITECTURE_NAMES), model: keys }),
    ],
    {
      error:
        `must be { "size", "model" } with a published size (${sizeNames.join(", ")}), ` +
        `or { "arch", "model" } with one of ${ARCHITECTURE_NAMES.join(", ")}`,
    },
  ),
  /** Checkpoint to start from: hub id, folder or file; null trains from scratch. */
  init: z.string().min(1).nullable().default(null),
  /** What decodes samples: hub id, folder or file; null: the autoencoder that the latents name. */
  autoencoder: z.string().min(1).nullable().default(null),
  seed: z.int().min(0).default(0),
  data,
  /** Latents per batch; an update sees `batch * accumulate`. */
  batch: count.max(2 ** 20),
  accumulate: count.max(2 ** 20).default(1),
  steps: count,
  /** Adaptive models: train the first channels of latents, drawn numbers of them; null trains with all. */
  channels: channelsSchema.nullable().default(null),
  optimizer: optimizerSchema,
  ema: emaSchema.nullable().default({ decay: 0.9999, warmupSteps: 2000 }),
  /** Keep few activations and compute the others again. */
  recompute: z.boolean().default(false),
  /** Gradients in the forms that are faster on a CPU, of whole activations, norms and attention instead of op by op. */
  optimize: z.boolean().default(true),
  /** Latents that the loss is evaluated on. */
  evaluateOn: count.default(256),
  /** Distances of samples to compute at each evaluation: "fid=REFERENCE", "fd:NETWORK=REFERENCE". */
  evaluate: z.array(z.string().min(1)).default([]),
  /** Samples that they are computed of: of all classes in turn, with the guidance, sampler, steps and seed of `samples`. */
  evaluateSamples: count.min(2).default(256),
  /** Pictures to look at, at every evaluation; null samples none. */
  samples: samples.nullable().prefault({}),
  checkpointEvery: count.default(1000),
  keep: count.default(3),
  evaluateEvery: count.default(1000),
  /** The metric of evaluations that `best` goes by, as "fid" or "loss_c16". Default: the loss. */
  best: z.string().min(1).optional(),
  logEvery: count.default(1),
});

/** A checked training with all defaults filled in. */
export type DiffusionConfig = z.output<typeof diffusionConfigSchema>;

/** @throws ConfigError naming each wrong field */
/**
 * Checks an object against the schema and fills in defaults.
 *
 * @throws ConfigError that names the field that is wrong
 */
export function parseDiffusionConfig(value: unknown, source: string): DiffusionConfig {
  return parseConfig(diffusionConfigSchema, value, source);
}

const FOLDER = join(RECIPE_FOLDER, "diffusion");

/** Names of all recipes, sorted. */
export function diffusionRecipeNames(): string[] {
  return recipeNames(FOLDER);
}

/**
 * @param nameOrPath what ends in .json is a file, anything else a recipe; a file with `extends` is another training with changes
 * @throws ConfigError when there is no such recipe, or the file isn't a diffusion training
 */
/**
 * A training of a diffusion model by the name of its recipe, or from a `.json` file.
 *
 * @throws ConfigError that names the field that is wrong
 * @example
 * ```ts
 * import { loadDiffusionConfig } from "@dcae/train/diffusion";
 *
 * const config = await loadDiffusionConfig("usit-scenes");
 * console.log(config.name, config.steps, config.batch);
 * ```
 */
export async function loadDiffusionConfig(nameOrPath: string): Promise<DiffusionConfig> {
  const pathOf = (name: string) => (/\.json$/i.test(name) ? name : recipeFile(name, "diffusion training", FOLDER));
  const path = pathOf(nameOrPath);
  const written = await readJsonFile(path);
  return parseDiffusionConfig(await extendConfig(written, path, (other) => readJsonFile(pathOf(other))), path);
}
