/** Public names of losses. */
export { adaptiveWeight } from "./adaptive-weight.js";
export { type DiscriminatorLoss, discriminatorLoss, ganGate, generatorLoss } from "./gan.js";
export { l1Loss } from "./l1.js";
export { type LpipsFiles, openLpipsWeights } from "./open-lpips-weights.js";
export { type PatchGanOptions, patchGan } from "./patch-gan.js";
