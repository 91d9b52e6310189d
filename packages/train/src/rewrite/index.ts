/** Public names of the rewrites for training. */
export { type OptimizeForwardOptions, optimizeForward } from "./optimize-forward.js";
export { chooseTrainingWinograd } from "./winograd-training-cost.js";
