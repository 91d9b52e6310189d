/** Public names of optimizers. */
export { type AdamWOptions, adamW, NO_DECAY, type OptimizerStep, updateCounter } from "./adam-w.js";
export { type CameOptions, came } from "./came.js";
export { clipScale, globalNorm } from "./clip.js";
export { type EmaOptions, emaPrefix, emaUpdates } from "./ema.js";
export { learningRate, type Schedule } from "./schedule.js";
export { type NamedValue, stateParameter } from "./state-parameter.js";
