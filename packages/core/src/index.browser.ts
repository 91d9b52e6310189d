/**
 * DC-AE for browsers: load an autoencoder by URL or hub id, turn pictures into latents and back on WebGPU or WebAssembly.
 *
 * Needs the optional peer `onnxruntime-web`. What has files is Node's; everything else is as in `index.ts`.
 */
export type {
  CodecOptions,
  DecodeLatentOptions,
  DiagonalGaussian,
  EncodeLatentOptions,
  EncodePictureOptions,
  ReconstructOptions,
  TilingOptions,
  WarmUpOptions,
} from "./autoencoders/index.browser.js";
export {
  AsymmetricAutoencoderKL,
  AutoencoderDC,
  AutoencoderKL,
  AutoencoderTiny,
  loadAutoencoder,
  type PretrainedAutoencoder,
  type WebLoadOptions,
} from "./autoencoders/pretrained.browser.js";
export { CheckpointError, ConfigError, DataError, DcaeError, EngineError, ShapeError } from "./errors.js";
export { type DType, Tensor } from "./graph/index.js";
export {
  createImage,
  type Image,
  type ImageSource,
  imageFromRgba,
  imagesToTensor,
  imageToTensor,
  loadImage,
  type Picture,
  psnr,
  tensorToImage,
  tensorToImages,
  toBlob,
  toCanvas,
  toImage,
  type WebLoadImageOptions,
} from "./image/index.browser.js";
export { getPreset, PRESETS, type Preset } from "./models/index.js";
export { createEngine, type Device, type Engine, type WebEngineOptions } from "./runtime/index.browser.js";
