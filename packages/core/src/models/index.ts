/** Public names of the models: configurations and presets as data, forward passes as functions. */

export {
  ACT_NAMES,
  type ActName,
  type BlockSpec,
  formatBlockType,
  NORM_NAMES,
  type NormName,
  parseBlockType,
} from "../blocks/block-spec.js";
export type { AsymmetricKlConfig, AsymmetricKlHalf } from "./asymmetric-kl/asymmetric-kl-config.js";
export type { AsymmetricKlPreset } from "./asymmetric-kl/asymmetric-kl-family.js";
export { dcAeDecode, dcAeEncode } from "./dc-ae/dc-ae.js";
export {
  type DcAeConfig,
  type DcAeConfigInput,
  type DcAeDecoderConfig,
  type DcAeEncoderConfig,
  resolveDcAeConfig,
  spatialCompression,
} from "./dc-ae/dc-ae-config.js";
export { ARCHITECTURES, type Architecture, type ArchitectureId, type DcAePreset } from "./dc-ae/dc-ae-presets.js";
export { parseDiffusersConfig, toDiffusersConfig } from "./dc-ae/diffusers-config.js";
export { type OfficialConfig, parseOfficialConfig, toOfficialConfig } from "./dc-ae/official-config.js";
export {
  type ConfigOf,
  compressionOf,
  FAMILIES,
  familyOf,
  hasPart,
  KINDS,
  type Kind,
  type LatentOf,
  type ModelConfig,
  PRESETS,
  type Preset,
  type WeightFormat,
} from "./families.js";
export {
  type AutoencoderConfig,
  type AutoencoderFamily,
  CHECKPOINT_FORMATS,
  type CheckpointFormat,
  type DecodeCondition,
  type EncodeOptions,
  type Gmacs,
  type LatentScaling,
  MODEL_PARTS,
  type ModelPartName,
  type NameRule,
  type PresetBase,
  type PublishedEvaluation,
  type TilingOptions,
  type WeightNames,
  type WeightPiece,
} from "./family.js";
export { initializeParameter } from "./initialize.js";
export { type DiagonalGaussian, diagonalGaussian, type LatentForm } from "./latent.js";
export {
  checkCheckpointFormat,
  checkpointFormats,
  configValues,
  describePreset,
  findPreset,
  getPreset,
  type ModelDescription,
  presetHubId,
  readModelConfig,
  requireFamily,
  toModelConfigFile,
} from "./model-description.js";
export {
  buildDecodeProgram,
  buildEncodeProgram,
  countParameters,
  modelParameters,
  type ParameterCounts,
} from "./model-programs.js";
export { sdVaeDecode, sdVaeEncode } from "./sd-vae/sd-vae.js";
export {
  resolveSdVaeConfig,
  type SdVaeConfig,
  type SdVaeConfigInput,
  sdVaeSpatialCompression,
} from "./sd-vae/sd-vae-config.js";
export type { SdVaePreset } from "./sd-vae/sd-vae-family.js";
export { tinyDecode, tinyEncode } from "./tiny/tiny.js";
export type { TinyConfig, TinyLevel } from "./tiny/tiny-config.js";
export type { TinyPreset } from "./tiny/tiny-family.js";
