/** Pipelines in Node: from the hub, folders and files, run by onnxruntime-node. */
import { createEngine, type EngineOptions, loadAutoencoder } from "@dcae/core";
import type { ModelSource } from "@dcae/core/checkpoint";
import { checkOptions, ENGINE_OPTIONS, nameOfSource, type OptionNames } from "@dcae/core/internal";
import { chooseForm, dtypeOfForm } from "@dcae/core/runtime";
import { LabelPipeline, loadPipelineParts, type PipelineScale } from "./label-pipeline.js";
import { OPEN_DENOISER_OPTIONS, type OpenDenoiserOptions, openDenoiser } from "./open-denoiser.node.js";

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
}

const placeOf = ({ device, threads }: EngineOptions): EngineOptions => ({
  ...(device === undefined ? {} : { device }),
  ...(threads === undefined ? {} : { threads }),
});
