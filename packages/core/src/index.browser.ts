/**
 * DC-AE for browsers: load an autoencoder by URL or hub id, turn pictures into latents and back on WebGPU or WebAssembly.
 *
 * Needs the optional peer `onnxruntime-web`.
 */
export * from "./autoencoders/index.browser.js";
export {
  AutoencoderDC,
  AutoencoderKL,
  loadAutoencoder,
  type WebLoadOptions,
} from "./autoencoders/pretrained.browser.js";
export * from "./errors.js";
export { createRandom, type DType, type Random, Tensor } from "./graph/index.js";
export * from "./image/index.browser.js";
export { getPreset, PRESETS, type Preset } from "./models/index.js";
export { printable, printableLine } from "./printable.js";
export { createEngine, DEVICES, type Device, type Engine, type WebEngineOptions } from "./runtime/index.browser.js";
