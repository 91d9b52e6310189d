/** Pipelines in Node: from the hub, folders and files, run by onnxruntime-node. */
import { join } from "node:path";
import { ConfigError, createEngine, type EngineOptions, loadAutoencoder } from "@dcae/core";
import { type ModelSource, writeDirectoryAtomic, writeFileAtomic } from "@dcae/core/checkpoint";
import {
  checkOptions,
  ENGINE_OPTIONS,
  nameOfSource,
  type OptionNames,
  saveCheckpoint,
  writeCard,
} from "@dcae/core/internal";
import { checkpointFormats, FAMILIES } from "@dcae/core/models";
import { chooseForm, dtypeOfForm } from "@dcae/core/runtime";
import { type Decoder, LabelPipeline, loadPipelineParts, type PipelineScale } from "./label-pipeline.js";
import { denoiserCard } from "./model-card.js";
import {
  DENOISER_FOLDER,
  MODEL_INDEX,
  OPEN_DENOISER_OPTIONS,
  type OpenDenoiserOptions,
  openDenoiser,
  PIPELINE_CLASS,
  type SaveDenoiserOptions,
  saveDenoiser,
} from "./open-denoiser.node.js";

/** Options of `ClassConditionalPipeline.fromPretrained`. */
export interface PipelineOptions extends OpenDenoiserOptions, EngineOptions, PipelineScale {
  /**
   * Repository, folder or file of the autoencoder, or "small-f32", which core brings along; by default the one in the checkpoint, or
   * that its config names. Null: none, latents are all that is wanted.
   */
  readonly autoencoder?: string | null | undefined;
}

const PIPELINE_OPTIONS: OptionNames<PipelineOptions> = {
  ...OPEN_DENOISER_OPTIONS,
  ...ENGINE_OPTIONS,
  autoencoder: true,
  scalingFactor: true,
  shiftFactor: true,
};

/**
 * Dispose it when done: it owns engines, weights and the autoencoder.
 *
 * @example
 * ```ts
 * import { saveImage } from "@dcae/core";
 * import { ClassConditionalPipeline } from "@dcae/diffusion";
 *
 * const pipeline = await ClassConditionalPipeline.fromPretrained("usit-scenes"); // comes with the package
 * const { images } = await pipeline.generate({ labels: ["forest", "city"], guidance: 2, seed: 0 });
 * for (const [i, image] of images.entries()) await saveImage(image, `sample-${i}.png`);
 * await pipeline.dispose();
 * ```
 */
export class ClassConditionalPipeline extends LabelPipeline {
  /**
   * Loads a denoiser and its autoencoder.
   *
   * @param source see `openDenoiser`
   * @throws ConfigError when no autoencoder is known, and what `openDenoiser` and `createEngine` throw
   */
  static async fromPretrained(source: ModelSource, options: PipelineOptions = {}): Promise<ClassConditionalPipeline> {
    checkOptions("fromPretrained", options, PIPELINE_OPTIONS);
    const form = chooseForm(options);
    const opened = await openDenoiser(source, options);
    // Revision and subfolder are those of the denoiser.
    const { autoencoder, denoiser: _denoiser, ...rest } = options;
    const parts = await loadPipelineParts<string>(nameOfSource(source), opened, autoencoder, options, {
      // Rewriting is about convolutions: the autoencoder's.
      createEngine: () => createEngine({ ...placeOf(options), dtype: dtypeOfForm(form) }),
      createDecoderEngine: () => createEngine({ ...placeOf(options), form }),
      loadAutoencoder: (named) => loadAutoencoder(named, { ...rest, revision: undefined, subfolder: undefined }),
    });
    return new ClassConditionalPipeline(parts);
  }

  /**
   * Saves the pipeline as diffusers lays pipelines out: `model_index.json` with a line for each part, the denoiser in `transformer/`,
   * its autoencoder in `vae/`, which diffusers loads as it is where its class is known there, and a model card. `fromPretrained(directory)` loads it again, wherever the
   * folder is moved to.
   *
   * @throws ConfigError for an autoencoder that was made by hand, DataError when the folder can't be written or isn't empty
   */
  async savePretrained(directory: string, options: SaveDenoiserOptions = {}): Promise<void> {
    checkOptions("savePretrained", options, SAVE_OPTIONS);
    const { decoder } = this;
    const { factor, shift = 0 } = this.latentScale;
    const autoencoder = decoder === null ? this.description.autoencoder : `../${AUTOENCODER_FOLDER}`;
    const description = { ...this.description, autoencoder, scalingFactor: factor, shiftFactor: shift };
    await writeDirectoryAtomic(
      directory,
      async (temporary) => {
        const vae = decoder === null ? [null, null] : await saveDecoder(decoder, join(temporary, AUTOENCODER_FOLDER));
        await saveDenoiser(join(temporary, DENOISER_FOLDER), description, this.weights);
        const index = {
          _class_name: PIPELINE_CLASS,
          _diffusers_version: DIFFUSERS_VERSION,
          [DENOISER_FOLDER]: ["@dcae/diffusion", description.config.arch],
          [AUTOENCODER_FOLDER]: vae,
        };
        const text = new TextEncoder().encode(`${JSON.stringify(index, undefined, 2)}\n`);
        await writeFileAtomic(join(temporary, MODEL_INDEX), (file) => file.write(text));
        await writeCard(directory, temporary, denoiserCard(description, decoder !== null));
      },
      options,
    );
  }
}

const SAVE_OPTIONS: OptionNames<SaveDenoiserOptions> = { overwrite: true };

/** Where pipelines have their autoencoder. */
const AUTOENCODER_FOLDER = "vae";

/** The version whose layout of files this is. */
const DIFFUSERS_VERSION = "0.35.0";

/** Saves an autoencoder in diffusers' layout, or else in its own. Gives its line in `MODEL_INDEX`: library and class. */
async function saveDecoder(
  { name, description, weights }: Decoder,
  folder: string,
): Promise<readonly [library: string, className: string]> {
  if (description === undefined || weights === undefined) {
    throw new ConfigError(`savePretrained: the autoencoder ${name} was made by hand, and doesn't say what it is`, {
      hint: "Load it with loadAutoencoder, or load the pipeline with autoencoder: null.",
    });
  }
  const { className } = FAMILIES[description.kind];
  const formats = checkpointFormats(description.kind);
  try {
    if (formats.includes("diffusers")) {
      await saveCheckpoint(description, weights, folder, { format: "diffusers" });
      return ["diffusers", className];
    }
  } catch (error) {
    // What its class can't express is kept in the layout that can.
    if (!(error instanceof ConfigError)) throw error;
  }
  await saveCheckpoint(description, weights, folder);
  return ["@dcae/core", className];
}

const placeOf = ({ device, threads }: EngineOptions): EngineOptions => ({
  ...(device === undefined ? {} : { device }),
  ...(threads === undefined ? {} : { threads }),
});
