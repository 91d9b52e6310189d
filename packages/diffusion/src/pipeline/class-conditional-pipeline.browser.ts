/** Pipelines in browsers: from URLs and chosen files, run by onnxruntime-web in web workers. */
import { ConfigError } from "@dcae/core";
import { checkOptions, type OptionNames } from "@dcae/core/internal";
import {
  checkWebEngineWords,
  createWebEngine,
  fetchModel,
  loadWebAutoencoder,
  type ModelSource,
  NOT_IN_BROWSERS,
  nameOfSource,
  WEB_ENGINE_OPTIONS,
  WEB_FETCH_OPTIONS,
  type WebEngineOptions,
  type WebFetchOptions,
  webEngineOptions,
} from "@dcae/core/internal-browser";
import type { DenoiserDescription } from "./denoiser-checkpoint.js";
import { LabelPipeline, loadPipelineParts, type PipelineScale } from "./label-pipeline.js";
import {
  type BundledDenoiser,
  type DenoiserConfigOption,
  denoiserRepository,
  isBundledDenoiser,
  readDenoiser,
} from "./opened-denoiser.js";

/** Options of `ClassConditionalPipeline.fromPretrained` in a browser. */
export interface WebPipelineOptions extends WebFetchOptions, WebEngineOptions, DenoiserConfigOption, PipelineScale {
  /**
   * The autoencoder, as `loadAutoencoder` takes it; by default the one in the checkpoint, or that its config names ("small-f32" is in
   * core). Null: none, latents are all that is wanted, as where an autoencoder is loaded already.
   */
  readonly autoencoder?: ModelSource | null | undefined;
}

const PIPELINE_OPTIONS: OptionNames<WebPipelineOptions> = {
  ...WEB_FETCH_OPTIONS,
  ...WEB_ENGINE_OPTIONS,
  denoiser: true,
  autoencoder: true,
  scalingFactor: true,
  shiftFactor: true,
};

/** The URLs of the bundled models, by what their entries export. */
const URLS_OF: Readonly<Record<BundledDenoiser, string>> = {
  "usit-scenes": "usitScenes",
  "usit-scenes-256": "usitScenes256",
};

/** The bundled models' files have the addresses that the page's bundler gives them. */
function namedDenoiser(word: string): string {
  if (!isBundledDenoiser(word)) return denoiserRepository(word);
  const urls = URLS_OF[word];
  throw new ConfigError("in browsers its files are found by their URLs", {
    hint: `Pass ${urls} instead of the name: import { ${urls} } from "@dcae/diffusion/${word}".`,
  });
}

/** Dispose it when done: it owns workers, weights and the autoencoder. */
export class ClassConditionalPipeline extends LabelPipeline {
  /**
   * Loads a denoiser and its autoencoder.
   *
   * @param source `usitScenes` of `@dcae/diffusion/usit-scenes`, which the package carries; URLs or chosen files of another model; a
   *   published repository or its last name alone; the URL of a folder or of a `.safetensors` file
   * @throws ConfigError when no autoencoder is known, CheckpointError when files can't be had or don't fit
   */
  static async fromPretrained(
    source: ModelSource,
    options: WebPipelineOptions = {},
  ): Promise<ClassConditionalPipeline> {
    checkOptions("fromPretrained", options, PIPELINE_OPTIONS, NOT_IN_BROWSERS);
    checkWebEngineWords(options);
    const name = nameOfSource(source);
    const opened = await readDenoiser(await fetchModel(source, options, namedDenoiser), name, options, noPath);
    const { autoencoder, denoiser: _denoiser, ...rest } = options;
    const createEngine = () => createWebEngine(webEngineOptions(options));
    return new ClassConditionalPipeline(
      await loadPipelineParts(name, opened, autoencoder, options, {
        createEngine,
        createDecoderEngine: createEngine,
        async loadAutoencoder(from) {
          // Revision and subfolder are those of the denoiser.
          const place = { revision: undefined, subfolder: undefined };
          return loadWebAutoencoder(from === "small-f32" ? await bundledFiles() : from, { ...rest, ...place });
        },
      }),
    );
  }
}

/** A page has no folders: a path beside the config can't be followed. @throws ConfigError for it */
function noPath(description: DenoiserDescription): DenoiserDescription {
  const { autoencoder } = description;
  if (autoencoder === null || !/^\.\.?[/\\]/.test(autoencoder)) return description;
  throw new ConfigError(`the checkpoint names its autoencoder by the path "${autoencoder}"`, {
    hint: "Pass autoencoder: its URL, or the URLs of its files.",
  });
}

/** Core's model, which denoisers name. */
async function bundledFiles(): Promise<ModelSource> {
  const { smallF32 } = await import("@dcae/core/small-f32");
  return smallF32;
}
