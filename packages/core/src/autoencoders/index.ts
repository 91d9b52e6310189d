/** Public names of the autoencoders in Node. */
export { BUNDLED_MODEL, bundledModelPath } from "./bundled-model.node.js";
export { type CalibrationOptions, calibrate } from "./calibrate.js";
export type { Checkpoint } from "./check-checkpoint.js";
export { type ExportedPart, type ExportOptions, type ExportProgress, exportOnnx } from "./export-onnx.node.js";
export * from "./index.browser.js";
export { type OpenOptions, openCheckpoint } from "./open-checkpoint.node.js";
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
export { type SaveOptions, STORAGE_DTYPES, type StorageDType, saveCheckpoint } from "./save-checkpoint.node.js";
