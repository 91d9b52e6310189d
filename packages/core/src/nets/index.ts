/** Public names of the networks that several packages share; training compares pictures by them, evaluation measures with them. */
export {
  type LpipsNorm,
  type LpipsOptions,
  type LpipsTrunk,
  type LpipsValue,
  lpips,
  lpipsLoss,
  lpipsMinSide,
} from "./lpips.js";
export { checkLpipsLinear, LPIPS_FILES, lpipsWeights, type NetworkFile } from "./lpips-weights.js";
