/**
 * What the other packages of this project share with diffusion. Unstable: it changes with any release, without notice. Programs take
 * `@dcae/diffusion`.
 */
export {
  BENCH_LATENTS,
  benchmarkWeights,
  commonResolution,
  type DiffusionPart,
  PAPER_SPEEDUP,
  type StepBench,
  type StepMeasurement,
  timeRuns,
} from "../bench/bench-diffusion.js";
export { buildDenoiseProgram, denoiserCost } from "../denoisers/denoise.js";
export { type ChosenLabel, chooseLabels, NULL_CLASS, nullLabel, tokenCount } from "../denoisers/denoiser-config.js";
export { ARCHITECTURE_NAMES } from "../denoisers/official-config.js";
export { latentShape } from "../denoisers/presets.js";
export { fromChannelScale, normalizeChannels, toChannelScale } from "../latents/channel-scale.js";
export { pictureNoise } from "../latents/encode-pictures.js";
export { batchIndices } from "../latents/latent-dataset.js";
export { LATENT_LAYOUTS, type LatentManifest, latentCount, shardCount } from "../latents/latent-manifest.js";
export { channelScaleOf } from "../latents/open-latents.node.js";
export { mergeLatents } from "../latents/write-latents.node.js";
export { diffusionInputs, diffusionLoss } from "../objectives/diffusion-loss.js";
export { dropLabels, stepRandom } from "../objectives/objective.js";
export { checkDenoiserWeights } from "../pipeline/denoiser-checkpoint.js";
export { checkDecodes, type Decoder } from "../pipeline/label-pipeline.js";
export { BUNDLED_DENOISERS } from "../pipeline/opened-denoiser.js";
export { weightsAtSize } from "../pipeline/resize-positions.js";
export { createDenoiser, loadDenoiser, sampleLatents } from "../pipeline/sample-latents.js";
export { chooseSampler } from "../pipeline/sampler-choice.js";
