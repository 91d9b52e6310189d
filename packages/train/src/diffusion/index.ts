/** Training diffusion models: public names of `@dcae/train/diffusion`, which needs `@dcae/diffusion`. */
export { benchTraining } from "./bench-training.js";
export { denoiserStages } from "./denoiser-stages.js";
export {
  type DiffusionConfig,
  diffusionConfigSchema,
  diffusionRecipeNames,
  loadDiffusionConfig,
  parseDiffusionConfig,
} from "./diffusion-config.js";
export { type DiffusionPlan, planDiffusion } from "./plan-diffusion.js";
export { scenePictures } from "./scene-pictures.js";
export { type DiffusionResult, type TrainDiffusionOptions, trainDiffusion } from "./train-diffusion.js";
export { alignLatents } from "./training-latents.js";
