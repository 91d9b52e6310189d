/** Public names of the networks that several packages share; training compares pictures by them, evaluation measures with them. */
export { type FeatureOptions, featureDistance, pictureFeatures } from "./feature-distance.js";
export { type FeatureNetwork, layersNetwork } from "./layers-network.js";
export {
  checkLpipsLinear,
  LPIPS_FILES,
  type LpipsNorm,
  type LpipsOptions,
  type LpipsTrunk,
  type LpipsValue,
  lpips,
  lpipsLoss,
  lpipsMinSide,
  lpipsWeights,
  type NetworkFile,
} from "./lpips.js";
