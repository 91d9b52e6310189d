/**
 * Training steps of your own, as graphs and programs: objectives, what of a model trains, gradients, optimizers, state. What trains a
 * model as a configuration says is in `@dcae/train`.
 */
export { type GradientOptions, gradients } from "../autodiff/gradients.js";
export type { MethodOptions, ParameterGroup } from "../optimizer/optimizers.js";
export type { Schedule } from "../optimizer/schedule.js";
export {
  type AdversarialOptions,
  adversarialGradients,
  adversarialStep,
  DISCRIMINATOR_SCOPE,
} from "../phases/adversarial.js";
export type { Augmentation } from "../phases/diff-augment.js";
export type { DiscriminatorLoss, PatchGanOptions } from "../phases/gan.js";
export {
  FEATURES_SCOPE,
  featurePerceptual,
  LPIPS_SCOPE,
  lpipsPerceptual,
  type Perceptual,
} from "../phases/perceptual.js";
export { lastLayerName, type Phase, type PhaseParameterOptions, phasePrefixes } from "../phases/phase-parameters.js";
export { type ReconstructionLossOptions, reconstructionObjective } from "../phases/reconstruction.js";
export type { EmaOptions } from "./averages.js";
export type { OptimizeForwardOptions } from "./optimize-forward.js";
export { namePatterns, startsWithAny, type TrainingRule } from "./training-rule.js";
export { completeWeights, createTrainingState } from "./training-state.js";
export {
  type AccumulationPrograms,
  accumulationPrograms,
  type GradientStep,
  type GradientStepOptions,
  gradientStep,
  type ObjectiveValue,
  type OptimizerOptions,
  optimizerStep,
  type StateUpdate,
  stateProgram,
  stepProgram,
  type TrainingObjective,
} from "./training-step.js";
