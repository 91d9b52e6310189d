/**
 * Latent diffusion for browsers: a pipeline from labels to pictures, denoisers, objectives, samplers. Folders of latents, exports and
 * benchmarks are Node's; everything else is as in `index.ts`.
 */
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
export { objectiveOf, type TrainingLoss, trainingLoss } from "./objectives/diffusion-loss.js";
export { gaussianDiffusion } from "./objectives/gaussian-diffusion.js";
export { drawObjective, type Objective } from "./objectives/objective.js";
export { flowMatching, noisePrediction, sanaFlow, uniObjective } from "./objectives/regression.js";
export { ClassConditionalPipeline, type WebPipelineOptions } from "./pipeline/class-conditional-pipeline.browser.js";
export type { DenoiserDescription } from "./pipeline/denoiser-checkpoint.js";
export type { GenerateOptions } from "./pipeline/label-pipeline.js";
export type { OpenedDenoiser } from "./pipeline/opened-denoiser.js";
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
