/** Public names of the denoisers: configurations and networks. */
export { buildDenoiseProgram, denoise, denoiserParameters } from "./denoise.js";
export {
  type DenoiserConfig,
  type DiTConfig,
  findLabel,
  labelRows,
  labelsInWords,
  NULL_CLASS,
  nullLabel,
  outChannels,
  type SanaClsConfig,
  tokenCount,
  type UVitConfig,
} from "./denoiser-config.js";
export { dit, ditBlock } from "./dit.js";
export type { OnHidden } from "./hidden-values.js";
export {
  ARCHITECTURE_NAMES,
  type ArchitectureName,
  type ParsedDenoiser,
  parseOfficialDenoiser,
  toOfficialDenoiser,
} from "./official-config.js";
export { positionEmbedding } from "./position-embedding.js";
export {
  denoiserPreset,
  LATENTS,
  type LatentFormat,
  type LatentName,
  latentShape,
  SIZES,
  type SizeName,
} from "./presets.js";
export { findPublishedDenoiser, PUBLISHED_DENOISERS, type PublishedDenoiser } from "./published-models.js";
export { EVAL_SCHEDULERS, type EvalScheduler, type Recipe, TRAIN_SCHEDULERS, type TrainScheduler } from "./recipe.js";
export { sanaBlock, sanaCls } from "./sana-cls.js";
export { timeEmbedding } from "./time-embedding.js";
export { uvit, uvitBlock } from "./uvit.js";
