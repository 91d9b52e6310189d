/**
 * Latent diffusion on DC-AE latents: denoisers, objectives, schedules, samplers, latent folders, and a pipeline.
 */

export {
  BENCH_LATENTS,
  benchDenoising,
  benchmarkWeights,
  commonResolution,
  type DenoisingBenchOptions,
  type DenoisingBenchRow,
} from "./bench/bench-denoising.js";
export * from "./denoisers/index.js";
export * from "./latents/index.js";
export * from "./objectives/index.js";
export * from "./pipeline/index.js";
export * from "./samplers/index.js";
export * from "./schedules/index.js";
