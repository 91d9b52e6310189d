/**
 * Latent diffusion on DC-AE latents: a pipeline from labels to pictures, denoisers, objectives, samplers, folders of latents.
 *
 * Only what programs need stands here. What the other packages of this project share is `@dcae/diffusion/internal`.
 */
export {
  benchDenoising,
  benchDiffusion,
  type DiffusionBenchEntry,
  type DiffusionBenchOptions,
} from "./bench/bench-diffusion.js";
export { denoiserParameters } from "./denoisers/denoise.js";
export type { DenoiserConfig, Recipe } from "./denoisers/denoiser-config.js";
export { type ParsedDenoiser, parseOfficialDenoiser } from "./denoisers/official-config.js";
export {
  denoiserPreset,
  LATENTS,
  type LatentName,
  PUBLISHED_DENOISERS,
  SIZES,
  type SizeName,
} from "./denoisers/presets.js";
export type { ChannelScale } from "./latents/channel-scale.js";
export type { LatentBatch, LatentDataset, LatentFolderStatistics } from "./latents/latent-dataset.js";
export type { LatentLayout } from "./latents/latent-manifest.js";
export { openLatents } from "./latents/open-latents.node.js";
export { type PictureSet, pictureFolder } from "./latents/picture-folder.node.js";
export {
  type LatentsProgress,
  type WriteLatentsOptions,
  type WrittenLatents,
  writeLatents,
} from "./latents/write-latents.node.js";
export { objectiveOf, type TrainingLoss, trainingLoss } from "./objectives/diffusion-loss.js";
export { gaussianDiffusion } from "./objectives/gaussian-diffusion.js";
export { drawObjective, type Objective } from "./objectives/objective.js";
export { flowMatching, noisePrediction, sanaFlow, uniObjective } from "./objectives/regression.js";
export { ClassConditionalPipeline, type PipelineOptions } from "./pipeline/class-conditional-pipeline.node.js";
export type { DenoiserDescription } from "./pipeline/denoiser-checkpoint.js";
export { type ExportDenoiserOptions, type ExportedDenoiser, exportDenoiser } from "./pipeline/export-denoiser.node.js";
export type { GenerateOptions } from "./pipeline/label-pipeline.js";
export {
  bundledDenoiserPath,
  type OpenDenoiserOptions,
  openDenoiser,
  type SaveDenoiserOptions,
  saveDenoiser,
} from "./pipeline/open-denoiser.node.js";
export type { BundledDenoiser, OpenedDenoiser } from "./pipeline/opened-denoiser.js";
export type { SampleOptions } from "./pipeline/sample-latents.js";
export { guidedModel } from "./pipeline/sample-latents.js";
export { SAMPLERS, type SamplerName } from "./pipeline/sampler-choice.js";
export { ddim, ddpm } from "./samplers/ddpm.js";
export { dopri5 } from "./samplers/dopri5.js";
export { dpmSolver } from "./samplers/dpm-solver.js";
export { euler, heun, midpoint, rk4, sde } from "./samplers/flow.js";
export type { Model, Sampler, SamplerRun, SamplerStep } from "./samplers/sampler.js";
export { dpmSolverSinglestep, sanaSampler, uniPc } from "./samplers/sigma-samplers.js";
export { uniSampler, uniSde } from "./samplers/uni-sampler.js";
