/** Public names of the objectives. */
export { diffusionInputs, diffusionLoss, objectiveOf, type TrainingLoss, trainingLoss } from "./diffusion-loss.js";
export { type FlowMatchingOptions, type FlowPrediction, flowMatching } from "./flow-matching.js";
export { type GaussianDiffusionOptions, gaussianDiffusion } from "./gaussian-diffusion.js";
export { dropLabels } from "./label-dropout.js";
export { noisePrediction } from "./noise-prediction.js";
export {
  drawObjective,
  type Objective,
  type ObjectiveLoss,
  type PerSample,
  type Predict,
  stepRandom,
} from "./objective.js";
export { sanaFlow } from "./sana-flow.js";
export { type TimeInput, type UniObjectiveOptions, type UniPrediction, uniObjective } from "./uni-objective.js";
