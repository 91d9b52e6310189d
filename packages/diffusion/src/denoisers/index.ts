/** Public names of the denoisers: configurations and networks. */
export { buildDenoiseProgram, denoise, denoiserParameters } from "./denoise.js";
export {
  type ChosenLabel,
  chooseLabels,
  type DenoiserConfig,
  type DiTConfig,
  EVAL_SCHEDULERS,
  type EvalScheduler,
  findLabel,
  labelRows,
  labelsInWords,
  NULL_CLASS,
  nullLabel,
  outChannels,
  type Recipe,
  type SanaClsConfig,
  TRAIN_SCHEDULERS,
  type TrainScheduler,
  tokenCount,
  type UVitConfig,
} from "./denoiser-config.js";
export { dit, ditBlock } from "./dit.js";
export { type OnHidden, positionEmbedding, timeEmbedding } from "./layers.js";
export {
  ARCHITECTURE_NAMES,
  type ArchitectureName,
  type ParsedDenoiser,
  parseOfficialDenoiser,
  toOfficialDenoiser,
} from "./official-config.js";
export {
  denoiserPreset,
  findPublishedDenoiser,
  LATENTS,
  type LatentFormat,
  type LatentName,
  latentShape,
  PUBLISHED_DENOISERS,
  type PublishedDenoiser,
  SIZES,
  type SizeName,
} from "./presets.js";
export { sanaBlock, sanaCls } from "./sana-cls.js";
export { uvit, uvitBlock } from "./uvit.js";
