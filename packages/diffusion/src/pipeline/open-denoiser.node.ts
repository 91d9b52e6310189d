/** Opens denoisers from the hub, folders and files, and saves them (Node). */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, extname, join, resolve } from "node:path";
import { ConfigError } from "@dcae/core";
import {
  type ModelFiles,
  type ModelSource,
  type OpenedModelFiles,
  openModel,
  openModelUrls,
  openTorchFile,
  type ResolveModelOptions,
  readJson,
  type Weights,
  writeDirectoryAtomic,
  writeFileAtomic,
  writeShardedFiles,
} from "@dcae/core/checkpoint";
import { didYouMean, nameOfSource, type OptionNames, RESOLVE_OPTIONS, writeCard } from "@dcae/core/internal";
import { failClosed } from "@dcae/core/runtime";
import { checkDenoiserWeights, type DenoiserDescription, toDenoiserConfig } from "./denoiser-checkpoint.js";
import { denoiserCard } from "./model-card.js";
import {
  type BundledDenoiser,
  type DenoiserConfigOption,
  denoiserRepository,
  isBundledDenoiser,
  type OpenedDenoiser,
  readDenoiser,
} from "./opened-denoiser.js";

/**
 * The folder of a diffusion model that the package carries, in float16, as `openDenoiser` and `ClassConditionalPipeline.fromPretrained`
 * take it.
 *
 * @param name "usit-scenes" (128x128, the default) or "usit-scenes-256"
 */
export function bundledDenoiserPath(name: BundledDenoiser = "usit-scenes"): string {
  const manifest = createRequire(import.meta.url).resolve("@dcae/diffusion/package.json");
  return join(dirname(manifest), "assets", name);
}

/** Diffusion models that have names of one word: those that the package carries, and published ones. */
const namedDenoiser = (word: string) =>
  isBundledDenoiser(word) ? bundledDenoiserPath(word) : denoiserRepository(word);

/** Options of `openDenoiser`. */
export interface OpenDenoiserOptions extends ResolveModelOptions, DenoiserConfigOption {
  /** Gets what the user should know; default: a process warning. */
  readonly onNotice?: ((notice: string) => void) | undefined;
}

export const OPEN_DENOISER_OPTIONS: OptionNames<OpenDenoiserOptions> = {
  ...RESOLVE_OPTIONS,
  denoiser: true,
  onNotice: true,
};

const TORCH_EXTENSIONS = [".pt", ".pth", ".ckpt", ".bin"];

/**
 * Opens a denoiser; its arrays are read later, one by one.
 *
 * @param idOrPath "usit-scenes" or "usit-scenes-256", which the package carries; a published repository
 *   ("mit-han-lab/dc-ae-f64c128-in-1.0-uvit-h-in-512px") or its last name alone; a folder, that of a pipeline too; a .safetensors file,
 *   or a file of torch.save (original DiT and U-ViT, training checkpoints), which is read without executing anything; or the URLs of
 *   a model's files, as `usitScenes` of `@dcae/diffusion/usit-scenes`
 * @throws CheckpointError, ConfigError or DataError that say what doesn't fit
 */
export async function openDenoiser(idOrPath: ModelSource, options: OpenDenoiserOptions = {}): Promise<OpenedDenoiser> {
  if (typeof idOrPath !== "string")
    return readOpenedDenoiser(await openModelUrls(idOrPath, options), nameOfSource(idOrPath), options);
  const pipeline = join(idOrPath, MODEL_INDEX);
  if (options.subfolder === undefined && existsSync(pipeline) && !existsSync(join(idOrPath, "config.json"))) {
    return openDenoiser(idOrPath, { ...options, subfolder: await denoiserFolder(pipeline) });
  }
  const isTorch = TORCH_EXTENSIONS.includes(extname(idOrPath).toLowerCase());
  const opened = isTorch
    ? { weights: await openTorchFile(idOrPath) }
    : await openModel(idOrPath, options, namedDenoiser);
  return readOpenedDenoiser(opened, idOrPath, options);
}

/** What lies in the folder of a pipeline, and where: the file that diffusers has there, too. */
export const MODEL_INDEX = "model_index.json";

/** The class of pipelines, in `MODEL_INDEX`. */
export const PIPELINE_CLASS = "ClassConditionalPipeline";

/** Where pipelines have their denoiser. */
export const DENOISER_FOLDER = "transformer";

const MAX_INDEX_BYTES = 2 ** 20;

/**
 * The folder of the denoiser in that of a pipeline.
 *
 * @param path of its `MODEL_INDEX`
 * @throws ConfigError where it is another pipeline's, or names no denoiser
 */
async function denoiserFolder(path: string): Promise<string> {
  const index = await readJson(path, MAX_INDEX_BYTES, ConfigError);
  const isObject = typeof index === "object" && index !== null && !Array.isArray(index);
  const fields = isObject ? (index as Readonly<Record<string, unknown>>) : {};
  if (fields._class_name !== PIPELINE_CLASS) {
    throw new ConfigError(
      `${path}: _class_name is ${JSON.stringify(fields._class_name) ?? "missing"} but must be "${PIPELINE_CLASS}"`,
      {
        hint: `Pipelines of diffusers aren't read here. Give the folder of a denoiser, or one that a ${PIPELINE_CLASS} was saved to.`,
      },
    );
  }
  const component = fields[DENOISER_FOLDER];
  if (Array.isArray(component) && component.length === 2) return DENOISER_FOLDER;
  const guess = didYouMean(DENOISER_FOLDER, Object.keys(fields));
  throw new ConfigError(`${path}: names no denoiser: "${DENOISER_FOLDER}" must be its library and class${guess}`);
}

type OpenedFiles = Pick<OpenedModelFiles, "weights"> & Partial<OpenedModelFiles>;

/** What an open checkpoint holds. It is closed when that can't be told. */
export async function readOpenedDenoiser(
  opened: OpenedFiles,
  idOrPath: string,
  options: OpenDenoiserOptions,
): Promise<OpenedDenoiser> {
  const { onNotice = (notice) => process.emitWarning(notice) } = options;
  try {
    if (opened.notice !== undefined) onNotice(opened.notice);
  } catch (error) {
    return failClosed(error, [() => opened.weights.close()]);
  }
  const { files } = opened;
  return readDenoiser({ ...opened, configSource: files?.configPath ?? idOrPath }, idOrPath, options, (description) =>
    locateAutoencoder(description, files),
  );
}

/**
 * An autoencoder named by a relative path ("../autoencoder") lies there as seen from the config.json, so that a folder with both
 * can be moved.
 *
 * @throws ConfigError for such a path in a repository of the hub, which has no business outside of it
 */
function locateAutoencoder(description: DenoiserDescription, files: ModelFiles | undefined): DenoiserDescription {
  const { autoencoder } = description;
  if (autoencoder === null || !/^\.\.?[/\\]/.test(autoencoder) || files?.configPath === undefined) return description;
  if (files.origin !== "local") {
    throw new ConfigError(
      `${files.configPath}: autoencoder is the path "${autoencoder}", which leaves the repository`,
      {
        hint: "Download the whole repository and give this folder in it, or pass autoencoder (--autoencoder): a repository, a folder or a file.",
      },
    );
  }
  return { ...description, autoencoder: resolve(dirname(files.configPath), autoencoder) };
}

/** Options of `saveDenoiser`. */
export interface SaveDenoiserOptions {
  /** Replaces a folder that isn't empty; what else lies there, a README.md too, stays. */
  readonly overwrite?: boolean;
}

/**
 * Writes `config.json`, the weights (sharded above 5 GB) and a model card, unless there is a README.md, atomically and one tensor at
 * a time.
 *
 * @param weights under official names
 * @throws DataError when the folder can't be written or isn't empty
 */
export async function saveDenoiser(
  folder: string,
  description: DenoiserDescription,
  weights: Weights,
  options: SaveDenoiserOptions = {},
): Promise<void> {
  const checked = checkDenoiserWeights(weights, description);
  const text = `${JSON.stringify(toDenoiserConfig(description), null, 2)}\n`;
  await writeDirectoryAtomic(
    folder,
    async (temporary) => {
      await writeFileAtomic(join(temporary, "config.json"), (file) => file.write(new TextEncoder().encode(text)));
      await writeCard(folder, temporary, denoiserCard(description, false));
      await writeShardedFiles(temporary, checked.entries.values());
    },
    options,
  );
}
