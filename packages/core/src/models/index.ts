/** Public names of the models: configurations and presets as data, forward passes as functions. */

export {
  ACT_NAMES,
  type ActName,
  BLOCK_TYPE_FORMS,
  type BlockSpec,
  formatBlockType,
  NORM_NAMES,
  type NormName,
  parseBlockType,
} from "../blocks/block-spec.js";
export { ARCHITECTURES, type Architecture, type ArchitectureId, type Gmacs } from "./dc-ae/architectures.js";
export { dcAeDecode, dcAeEncode, type EncodeOptions } from "./dc-ae/dc-ae.js";
export {
  type DcAeConfig,
  type DcAeConfigInput,
  type DcAeDecoderConfig,
  type DcAeEncoderConfig,
  resolveDcAeConfig,
  spatialCompression,
} from "./dc-ae/dc-ae-config.js";
export { parseDiffusersConfig } from "./dc-ae/diffusers-config.js";
export { type OfficialConfig, parseOfficialConfig, toOfficialConfig } from "./dc-ae/official-config.js";
export { toDiffusersConfig } from "./dc-ae/to-diffusers-config.js";
export { findPreset, getPreset, presetHubId } from "./find-preset.js";
export { initializeParameter } from "./initialize.js";
export {
  type CheckpointFormat,
  describePreset,
  type ModelDescription,
  readModelConfig,
  toModelConfigFile,
} from "./model-description.js";
export { countParameters, type ModelConfig, modelParameters, type ParameterCounts } from "./model-parameters.js";
export { type DcAePreset, PRESETS, type Preset, type PublishedEvaluation, type SdVaePreset } from "./presets.js";
export { parseKlConfig, toKlConfig } from "./sd-vae/kl-config.js";
export { sdVaeDecode, sdVaeEncode } from "./sd-vae/sd-vae.js";
export {
  resolveSdVaeConfig,
  type SdVaeConfig,
  type SdVaeConfigInput,
  sdVaeSpatialCompression,
} from "./sd-vae/sd-vae-config.js";
