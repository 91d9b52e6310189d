/** Training autoencoders as configurations say, and the loop for any objective. Steps of your own: `@dcae/train/step`. */
export { type Communicator, type OpenMpiOptions, openMpi, RankError } from "@dcae/core/internal";
export { type DistillOptions, distillConfig } from "./configs/distill-config.js";
export { type FinetuneOptions, finetuneConfig } from "./configs/finetune-config.js";
export { loadTrainingConfig, trainingRecipe, trainingRecipes } from "./configs/load-config.js";
export { overrideConfig } from "./configs/override.js";
export {
  parseTrainingConfig,
  type TrainingConfig,
  type TrainingConfigInput,
  type TrainingPhase,
} from "./configs/schema.js";
export type { TrainingBatch, TrainingBatches } from "./data/training-batches.js";
export { type MetricsRow, readMetrics } from "./logging/metrics-log.js";
export type { ProgressState, TrainingProgress } from "./logging/progress.js";
export type { Perceptual } from "./phases/perceptual.js";
export { stateWeights } from "./step/averages.js";
export type { MemoryEstimate } from "./trainer/estimate-memory.js";
export {
  type Better,
  type Evaluate,
  type Evaluation,
  type FitOptions,
  type FitResult,
  fit,
} from "./trainer/fit.js";
export { inspectTraining, type TrainingNeeds } from "./trainer/inspect-training.js";
export { type LpipsFiles, openLpipsWeights } from "./trainer/open-lpips-weights.js";
export { describePerceptual } from "./trainer/open-perceptual.js";
export type { ParameterRow } from "./trainer/parameter-table.js";
export { formatPlan, type PhasePlan, planTraining, type TrainedGroup } from "./trainer/plan-training.js";
export type { OpenSetMetrics } from "./trainer/set-metrics.js";
export { type PhaseResult, type TrainAutoencoderOptions, trainAutoencoder } from "./trainer/train-autoencoder.js";
export { type StopSignals, stopSignals, TrainingError } from "./trainer/training-run.js";
export type { Metrics, UpdateStage } from "./trainer/update-stage.js";
