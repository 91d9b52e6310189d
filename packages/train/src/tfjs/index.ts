/** Training on TensorFlow.js: an engine with the same contract as core's. */
export { TFJS_BACKENDS, type TfjsBackend } from "./load-tfjs.js";
export { createTfjsEngine, TfjsEngine, type TfjsEngineOptions } from "./tfjs-engine.js";
