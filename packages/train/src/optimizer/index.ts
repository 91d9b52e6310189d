/** Public names of optimizers. */
export { type AdamWOptions, adamW } from "./adam-w.js";
export { type CameOptions, came } from "./came.js";
export { clipScale, globalNorm } from "./clip.js";
export { type EmaOptions, emaPrefix, emaUpdates } from "./ema.js";
export { learningRate, type Schedule, scheduleEnd } from "./schedule.js";
export { type NamedValue, stateParameter } from "./state-parameter.js";
export { NO_DECAY, type OptimizerStep, updateCounter } from "./update-terms.js";
