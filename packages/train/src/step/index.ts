/** Public names of training steps. */
export {
  forwardForm,
  type GradientStep,
  type GradientStepOptions,
  gradientForms,
  gradientStep,
  type ObjectiveValue,
  type TrainingObjective,
  type TrainingRule,
  trainedWeights,
  trainingScope,
} from "./gradient-step.js";
export { type OptimizerOptions, optimizerCounter, optimizerStep, type StateUpdate } from "./optimizer-step.js";
export { type AccumulationPrograms, accumulationPrograms, stateProgram, stepProgram } from "./step-programs.js";
export { completeWeights, createTrainingState, programParameters, updatedNames } from "./training-state.js";
