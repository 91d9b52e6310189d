/** Checkpoints of autoencoders on disk: opening one, wherever it is, the one that comes with the package, and saving. */

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { checkOptions, type OptionNames } from "../check-options.js";
import { writeDirectoryAtomic, writeFileAtomic } from "../checkpoint/atomic-file.node.js";
import { planWeights, unmapWeights } from "../checkpoint/names/weight-plan.js";
import { openModel, openModelUrls, RESOLVE_OPTIONS, type ResolveModelOptions } from "../checkpoint/open-model.node.js";
import { type ModelSource, nameOfSource, type OpenedModel } from "../checkpoint/opened-model.js";
import { writeShardedFiles } from "../checkpoint/safetensors/file.node.js";
import type { WriteProgress } from "../checkpoint/safetensors/writer.js";
import type { WeightEntry, Weights } from "../checkpoint/weights.js";
import { ConfigError } from "../errors.js";
import { type DType, dtypeKind } from "../graph/dtype.js";
import { familyOf, type WeightFormat } from "../models/families.js";
import { CHECKPOINT_FORMATS, type CheckpointFormat, type CheckpointLayout } from "../models/family.js";
import {
  BUNDLED_MODEL,
  checkpointFormats,
  type ModelDescription,
  namedRepository,
  toModelConfigFile,
} from "../models/model-description.js";
import { modelParameters } from "../models/model-programs.js";
import { failClosed } from "../runtime/close-all.js";
import { modelCard } from "./model-card.js";
import { CHECKPOINT_OPTIONS, type Checkpoint, type CheckpointOptions, checkOpened } from "./pretrained.js";

export interface OpenOptions extends ResolveModelOptions, CheckpointOptions {
  /** Gets what the user should know (a copy from the cache was used without a connection); default: a process warning. */
  readonly onNotice?: ((notice: string) => void) | undefined;
}

export const OPEN_OPTIONS: OptionNames<OpenOptions> = { ...RESOLVE_OPTIONS, ...CHECKPOINT_OPTIONS, onNotice: true };

/** Autoencoders that have names of one word: the one that the package carries, and published ones. */
const namedAutoencoder = (word: string) => (word === BUNDLED_MODEL ? bundledModelPath() : namedRepository(word));

/** Opens the files and passes on what the user should know. */
export async function openFiles(source: ModelSource, options: OpenOptions): Promise<OpenedModel> {
  const { onNotice = (notice) => process.emitWarning(notice) } = options;
  const name = nameOfSource(source);
  const opened = await (typeof source === "string"
    ? openModel(name, options, namedAutoencoder)
    : openModelUrls(source, options));
  try {
    if (opened.notice !== undefined) onNotice(opened.notice);
    return opened;
  } catch (error) {
    return failClosed(error, [() => opened.weights.close()]);
  }
}

/**
 * Opens a checkpoint; its arrays are read later, one by one.
 *
 * @param source a repository of the Hugging Face hub ("mit-han-lab/dc-ae-f64c128-in-1.0"), a folder, a weight file, the name of a
 *   published model, "small-f32" (which the package carries), or the URLs of a model's files
 * @throws CheckpointError listing the tensors that lack, are too many or have another shape, or saying which file can't be
 *   had; ConfigError for unusable configurations and options
 */
export async function openCheckpoint(source: ModelSource, options: OpenOptions = {}): Promise<Checkpoint> {
  checkOptions("openCheckpoint", options, OPEN_OPTIONS);
  return checkOpened(await openFiles(source, options), options);
}

/**
 * The folder of the bundled model, an official-format checkpoint in float16. `AutoencoderDC.fromPretrained` and whatever else opens
 * models know it as "small-f32".
 */
export function bundledModelPath(): string {
  // By the package's own name: sources and bundles lie at different depths below it.
  const manifest = createRequire(import.meta.url).resolve("@dcae/core/package.json");
  return join(dirname(manifest), "assets", BUNDLED_MODEL);
}

/** Float types that checkpoints are stored in. */
export const STORAGE_DTYPES = ["float32", "float16", "bfloat16"] as const;
export type StorageDType = (typeof STORAGE_DTYPES)[number];

/** Options of `savePretrained`: layout, type, and whether a folder may be replaced. */
export interface SaveOptions {
  /** Names and layout of the files. Default: the family's usual one, "diffusers" for SD-VAE and "official" for all others. */
  readonly format?: CheckpointFormat | undefined;
  /** Converts the floats; by default they are stored as they are. */
  readonly dtype?: StorageDType | undefined;
  /** Replaces a folder that isn't empty (default false: an error). */
  readonly overwrite?: boolean | undefined;
  readonly onProgress?: ((progress: WriteProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

const SAVE_OPTIONS: OptionNames<SaveOptions> = {
  format: true,
  dtype: true,
  overwrite: true,
  onProgress: true,
  signal: true,
};

function converted(entry: WeightEntry, dtype: DType | undefined): WeightEntry {
  if (dtype === undefined || dtypeKind(entry.dtype) !== "float" || entry.dtype === dtype) return entry;
  return { ...entry, dtype, location: undefined, read: async () => (await entry.read()).cast(dtype) };
}

/**
 * Writes `config.json`, the weights (sharded above 5 GB) and a model card, unless there is a README.md, into `directory`, atomically and
 * one tensor at a time.
 *
 * @param weights under the model's own parameter names; may be the weights of an open checkpoint
 * @throws ConfigError when the format can't express the model, DataError when the folder can't be written
 */
export async function saveCheckpoint(
  model: ModelDescription,
  weights: Weights,
  directory: string,
  options: SaveOptions = {},
): Promise<void> {
  checkOptions("savePretrained", options, SAVE_OPTIONS);
  const { format = checkpointFormats(model.kind)[0] as CheckpointFormat, dtype } = options;
  if (!CHECKPOINT_FORMATS.includes(format)) {
    throw new ConfigError(`format: "${String(format)}" is unknown`, {
      hint: `Use ${CHECKPOINT_FORMATS.join(" or ")}.`,
    });
  }
  if (dtype !== undefined && !STORAGE_DTYPES.includes(dtype)) {
    throw new ConfigError(`dtype: "${String(dtype)}" is unknown`, { hint: `Use ${STORAGE_DTYPES.join(", ")}.` });
  }
  const config = toModelConfigFile(model, format);
  const layout = familyOf(model).layouts[format] as CheckpointLayout;
  const plan = planWeights(modelParameters(model), layout.weights as WeightFormat);
  const entries = [...unmapWeights(weights, plan).entries.values()].map((entry) => converted(entry, dtype));
  await writeDirectoryAtomic(
    directory,
    async (folder) => {
      const text = `${JSON.stringify(config, undefined, 2)}\n`;
      await writeFileAtomic(join(folder, "config.json"), (file) => file.write(new TextEncoder().encode(text)));
      await writeCard(directory, folder, modelCard(model, format));
      await writeShardedFiles(folder, entries, {
        stem: format === "official" ? "model" : "diffusion_pytorch_model",
        onProgress: options.onProgress,
        signal: options.signal,
      });
    },
    { overwrite: options.overwrite },
  );
}

/** A model card in the folder that will become `directory`; what somebody wrote about the model there stays. */
export async function writeCard(directory: string, temporary: string, card: string): Promise<void> {
  if (existsSync(join(directory, "README.md"))) return;
  await writeFileAtomic(join(temporary, "README.md"), (file) => file.write(new TextEncoder().encode(card)));
}
