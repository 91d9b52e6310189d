/** Public names of the objectives. */
export { diffusionInputs, diffusionLoss, objectiveOf, type TrainingLoss, trainingLoss } from "./diffusion-loss.js";
export { type GaussianDiffusionOptions, gaussianDiffusion } from "./gaussian-diffusion.js";
export {
  drawObjective,
  dropLabels,
  type Objective,
  type ObjectiveLoss,
  type PerSample,
  type Predict,
  stepRandom,
} from "./objective.js";
export {
  type FlowMatchingOptions,
  type FlowPrediction,
  flowMatching,
  noisePrediction,
  sanaFlow,
  type TimeInput,
  type UniObjectiveOptions,
  type UniPrediction,
  uniObjective,
} from "./regression.js";
