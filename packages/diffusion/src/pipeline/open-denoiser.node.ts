/** Opens denoisers from the hub, folders and files, and saves them (Node). */
import { createRequire } from "node:module";
import { dirname, extname, join, resolve } from "node:path";
import { ConfigError, createEngine, type EngineOptions, getPreset } from "@dcae/core";
import {
  checkWeights,
  type ModelFiles,
  type OpenedModelFiles,
  openModel,
  openTorchFile,
  type ResolveModelOptions,
  type Weights,
  writeDirectoryAtomic,
  writeFileAtomic,
  writeShardedFiles,
} from "@dcae/core/checkpoint";
import { Autoencoder, didYouMean, type OptionNames, RESOLVE_OPTIONS } from "@dcae/core/internal";
import { describePreset, modelParameters } from "@dcae/core/models";
import { failClosed } from "@dcae/core/runtime";
import { findPublishedDenoiser, PUBLISHED_DENOISERS } from "../denoisers/presets.js";
import {
  checkDenoiserWeights,
  type DenoiserDescription,
  denoiserWeights,
  inferDenoiser,
  parseDenoiserConfig,
  toDenoiserConfig,
  weightsBelow,
} from "./denoiser-checkpoint.js";

// The small diffusion model that the package carries: a USiT (UViT with the flow objective) on latents of `small-f32` from
// @dcae/core, twelve classes of procedural scenes at 128x128, trained by this project (recipe "usit-scenes").

/** What the bundled model is called wherever a diffusion model can be named. */
export const BUNDLED_DENOISER = "usit-scenes";

/** Its folder, in float16, as `openDenoiser` and `ClassConditionalPipeline.fromPretrained` take it. */
export function bundledDenoiserPath(): string {
  const manifest = createRequire(import.meta.url).resolve("@dcae/diffusion/package.json");
  return join(dirname(manifest), "assets", BUNDLED_DENOISER);
}

/** Diffusion models that have names of one word: the one that the package carries, and published ones. */
function namedDenoiser(word: string): string {
  if (word === BUNDLED_DENOISER) return bundledDenoiserPath();
  const published = findPublishedDenoiser(word);
  if (published !== undefined) return published.hubId;
  const names = PUBLISHED_DENOISERS.map(({ name }) => name);
  throw new ConfigError(
    `not the name of a published diffusion model${didYouMean(word, [BUNDLED_DENOISER, ...names])}`,
    {
      hint: `Published: ${names.join(", ")}. "${BUNDLED_DENOISER}" comes with dcae.`,
    },
  );
}

/** Options of `openDenoiser`. */
export interface OpenDenoiserOptions extends ResolveModelOptions {
  /**
   * The configuration, instead of what the checkpoint says: an object as in config.json, with official constructor arguments
   * (`{ arch: "uvit", model: { ... } }`) or a published name (`{ model_name: "..." }`).
   */
  readonly denoiser?: Readonly<Record<string, unknown>> | undefined;
  /** Gets what the user should know; default: a process warning. */
  readonly onNotice?: ((notice: string) => void) | undefined;
}

export const OPEN_DENOISER_OPTIONS: OptionNames<OpenDenoiserOptions> = {
  ...RESOLVE_OPTIONS,
  denoiser: true,
  onNotice: true,
};

/** A denoiser's files, opened: description and weights. */
export interface OpenedDenoiser {
  readonly description: DenoiserDescription;
  /** Of the denoiser, under official names. Close them when done. */
  readonly weights: Weights;
  /** Of the autoencoder, where the file holds it. They are closed with `weights`. */
  readonly autoencoderWeights: Weights | undefined;
}

const TORCH_EXTENSIONS = [".pt", ".pth", ".ckpt", ".bin"];
const AUTOENCODER_PREFIX = "autoencoder.";

/**
 * Opens a denoiser; its arrays are read later, one by one.
 *
 * @param idOrPath "usit-scenes", which the package carries; a published repository
 *   ("mit-han-lab/dc-ae-f64c128-in-1.0-uvit-h-in-512px") or its last name alone; a folder, a .safetensors file,
 *   or a file of torch.save (original DiT and U-ViT, training checkpoints), which is read without executing anything
 * @throws CheckpointError, ConfigError or DataError that say what doesn't fit
 */
export async function openDenoiser(idOrPath: string, options: OpenDenoiserOptions = {}): Promise<OpenedDenoiser> {
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
  const { denoiser, onNotice = (notice) => process.emitWarning(notice) } = options;
  try {
    if (opened.notice !== undefined) onNotice(opened.notice);
    const own = denoiserWeights(opened.weights);
    const { config, files } = opened;
    const description =
      denoiser !== undefined
        ? parseDenoiserConfig(denoiser, "denoiser")
        : config !== undefined
          ? locateAutoencoder(parseDenoiserConfig(config, files?.configPath ?? idOrPath), files)
          : { ...inferDenoiser(own), autoencoder: null, scalingFactor: null, shiftFactor: 0, classes: null };
    const autoencoderWeights = weightsBelow(opened.weights, AUTOENCODER_PREFIX);
    return {
      description,
      weights: checkDenoiserWeights(own, description),
      autoencoderWeights: autoencoderWeights.entries.size === 0 ? undefined : autoencoderWeights,
    };
  } catch (error) {
    return failClosed(error, [() => opened.weights.close()]);
  }
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
 * The autoencoder that a denoiser's file brings along.
 *
 * @throws CheckpointError when the weights aren't those of the preset
 */
export async function bundledAutoencoder(
  { autoencoder, scalingFactor, shiftFactor }: DenoiserDescription,
  weights: Weights,
  options: EngineOptions = {},
): Promise<Autoencoder> {
  const preset = getPreset(autoencoder ?? "");
  const plan = modelParameters(preset).map((spec) => ({ spec, pieces: [{ name: spec.name, shape: spec.shape }] }));
  checkWeights(plan, weights, { model: preset.name });
  return new Autoencoder({
    name: preset.name,
    description: { ...describePreset(preset), scalingFactor, shiftFactor },
    weights,
    engine: await createEngine(options),
  });
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
