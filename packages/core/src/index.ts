/**
 * DC-AE for Node: load an autoencoder, turn pictures into latents and back, save and export.
 *
 * Only what a user of models needs stands here. Areas have entries of their own: `@dcae/core/graph`, `/blocks`, `/models`,
 * `/checkpoint`, `/onnx`, `/runtime`, `/image`. What the other packages of this project share is `@dcae/core/internal`.
 */

export {
  AsymmetricAutoencoderKL,
  AutoencoderDC,
  AutoencoderKL,
  AutoencoderTiny,
  loadAutoencoder,
  type PretrainedAutoencoder,
} from "./autoencoders/pretrained.node.js";
export { CheckpointError, ConfigError, DataError, DcaeError, EngineError, ShapeError } from "./errors.js";
export { type DType, Tensor } from "./graph/index.js";
export {
  createImage,
  type Image,
  type ImageSource,
  imageFromRgba,
  imagesToTensor,
  imageToTensor,
  type LoadImageOptions,
  loadImage,
  loadImages,
  type Picture,
  psnr,
  type SaveImageOptions,
  saveImage,
  tensorToImage,
  tensorToImages,
  toBlob,
  toImage,
} from "./image/index.js";
export {
  bundledModelPath,
  type CalibrationOptions,
  type CodecOptions,
  type DecodeLatentOptions,
  type DiagonalGaussian,
  type EncodeLatentOptions,
  type EncodePictureOptions,
  type ExportOptions,
  type LoadOptions,
  type ReconstructOptions,
  type SaveOptions,
  type TilingOptions,
  type WarmUpOptions,
} from "./internal/index.js";
export { getPreset, PRESETS, type Preset } from "./models/index.js";
export { createEngine, type Device, type Engine, type EngineOptions } from "./runtime/index.js";
