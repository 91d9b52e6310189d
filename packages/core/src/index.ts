/**
 * DC-AE for Node: load an autoencoder, turn pictures into latents and back, save and export.
 *
 * Areas with more to offer have entries of their own: `@dcae/core/graph`, `/blocks`, `/models`, `/checkpoint`, `/onnx`,
 * `/runtime`, `/image`.
 */
export * from "./autoencoders/index.js";
export * from "./errors.js";
export { createRandom, type DType, type Random, Tensor } from "./graph/index.js";
export * from "./image/index.js";
export { getPreset, PRESETS, type Preset } from "./models/index.js";
export { printable, printableLine } from "./printable.js";
export { createEngine, DEVICES, type Device, type Engine, type EngineOptions, probeDevice } from "./runtime/index.js";
