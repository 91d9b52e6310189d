/** Public names of the autoencoders in Node. */

export { type CalibrationOptions, calibrate } from "./calibrate.node.js";
export {
  BUNDLED_MODEL,
  bundledModelPath,
  type OpenOptions,
  openCheckpoint,
  type SaveOptions,
  STORAGE_DTYPES,
  type StorageDType,
  saveCheckpoint,
} from "./checkpoint.node.js";
export { type ExportedPart, type ExportOptions, type ExportProgress, exportOnnx } from "./export-onnx.node.js";
export * from "./index.browser.js";
export type { Checkpoint } from "./pretrained.js";
export {
  AutoencoderDC,
  AutoencoderKL,
  AutoencoderTiny,
  chooseModelForm,
  type LoadOptions,
  loadAutoencoder,
  type ModelForm,
  type PretrainedAutoencoder,
} from "./pretrained.node.js";
