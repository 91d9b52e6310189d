/** Opens denoisers from the hub, folders and files, and saves them (Node). */
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
  type Weights,
  writeDirectoryAtomic,
  writeFileAtomic,
  writeShardedFiles,
} from "@dcae/core/checkpoint";
import { nameOfSource, type OptionNames, RESOLVE_OPTIONS } from "@dcae/core/internal";
import { failClosed } from "@dcae/core/runtime";
import { checkDenoiserWeights, type DenoiserDescription, toDenoiserConfig } from "./denoiser-checkpoint.js";
import {
  BUNDLED_DENOISER,
  type DenoiserConfigOption,
  denoiserRepository,
  type OpenedDenoiser,
  readDenoiser,
} from "./opened-denoiser.js";

/** Its folder, in float16, as `openDenoiser` and `ClassConditionalPipeline.fromPretrained` take it. */
export function bundledDenoiserPath(): string {
  const manifest = createRequire(import.meta.url).resolve("@dcae/diffusion/package.json");
  return join(dirname(manifest), "assets", BUNDLED_DENOISER);
}

/** Diffusion models that have names of one word: the one that the package carries, and published ones. */
const namedDenoiser = (word: string) => (word === BUNDLED_DENOISER ? bundledDenoiserPath() : denoiserRepository(word));

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
 * @param idOrPath "usit-scenes", which the package carries; a published repository
 *   ("mit-han-lab/dc-ae-f64c128-in-1.0-uvit-h-in-512px") or its last name alone; a folder, a .safetensors file,
 *   or a file of torch.save (original DiT and U-ViT, training checkpoints), which is read without executing anything; or the URLs of
 *   a model's files, as `usitScenes` of `@dcae/diffusion/usit-scenes`
 * @throws CheckpointError, ConfigError or DataError that say what doesn't fit
 */
export async function openDenoiser(idOrPath: ModelSource, options: OpenDenoiserOptions = {}): Promise<OpenedDenoiser> {
  if (typeof idOrPath !== "string")
    return readOpenedDenoiser(await openModelUrls(idOrPath, options), nameOfSource(idOrPath), options);
  const isTorch = TORCH_EXTENSIONS.includes(extname(idOrPath).toLowerCase());
  const opened = isTorch
    ? { weights: await openTorchFile(idOrPath) }
    : await openModel(idOrPath, options, namedDenoiser);
  return readOpenedDenoiser(opened, idOrPath, options);
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
        hint: "Pass autoencoder: a repository, a folder or a file.",
      },
    );
  }
  return { ...description, autoencoder: resolve(dirname(files.configPath), autoencoder) };
}

/**
 * Writes `config.json` and the weights (sharded above 5 GB), atomically and one tensor at a time.
 *
 * @param weights under official names
 * @throws DataError when the folder can't be written or isn't empty
 */
export async function saveDenoiser(
  folder: string,
  description: DenoiserDescription,
  weights: Weights,
  options: { readonly overwrite?: boolean } = {},
): Promise<void> {
  const checked = checkDenoiserWeights(weights, description);
  const text = `${JSON.stringify(toDenoiserConfig(description), null, 2)}\n`;
  await writeDirectoryAtomic(
    folder,
    async (temporary) => {
      await writeFileAtomic(join(temporary, "config.json"), (file) => file.write(new TextEncoder().encode(text)));
      await writeShardedFiles(temporary, checked.entries.values());
    },
    options,
  );
}
