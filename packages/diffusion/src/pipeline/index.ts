/** Public names of the pipeline: loading, saving, sampling. */
export {
  ClassConditionalPipeline,
  type Decoder,
  type GenerateOptions,
  type PipelineOptions,
  type PipelineParts,
} from "./class-conditional-pipeline.node.js";
export {
  checkDenoiserWeights,
  type DenoiserDescription,
  denoiserWeights,
  parseDenoiserConfig,
  toDenoiserConfig,
} from "./denoiser-checkpoint.js";
export { createDenoiser, type LoadedDenoiser, loadDenoiser } from "./forward-pass.js";
export { inferDenoiser } from "./infer-denoiser.js";
export {
  BUNDLED_DENOISER,
  bundledDenoiserPath,
  denoiserSource,
  type OpenDenoiserOptions,
  type OpenedDenoiser,
  openDenoiser,
  saveDenoiser,
} from "./open-denoiser.node.js";
export { type SampleOptions, sampleLatents } from "./sample-latents.js";
export { type ChosenSampler, chooseSampler, publishedSampler, SAMPLERS, type SamplerName } from "./sampler-choice.js";
