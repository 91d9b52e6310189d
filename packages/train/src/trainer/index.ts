/** Public names of the trainer. */

export { withClosing } from "@dcae/core/runtime";
export { autoencoderStages, optimizesFor, reconstructor, trainingRule } from "./autoencoder-stages.js";
export { type CheckpointNotes, listCheckpoints, type OpenCheckpoint, openCheckpointFolder } from "./checkpoint.js";
export { estimateMemory, type MemoryEstimate } from "./estimate-memory.js";
export { type ReconstructionEvaluation, reconstructionEvaluation } from "./evaluate-reconstruction.js";
export {
  type Evaluation,
  type FitOptions,
  type FitResult,
  fit,
  type TrainingBatch,
  type TrainingBatches,
} from "./fit.js";
export { inspectTraining, type TrainingNeeds } from "./inspect-training.js";
export { type MeasuredUpdate, measureUpdate } from "./measure-update.js";
export { namedOptimizer } from "./named-optimizer.js";
export { openBatches, openSources } from "./open-data.js";
export { type DcAeDescription, describeModel } from "./phase-start.js";
export { formatPlan, type PhasePlan, planTraining, type TrainedGroup } from "./plan-training.js";
export { runFiles } from "./run-record.js";
export { averagedScope, stateWeights, withAverageNames } from "./state-weights.js";
export { type StopSignals, stopSignals } from "./stop-signals.js";
export { type PhaseResult, type TrainAutoencoderOptions, trainAutoencoder } from "./train-autoencoder.js";
export { saveTrainedModel } from "./trained-model.js";
export { TrainingError } from "./training-error.js";
export { type TrainingRunOptions, trainingFile } from "./training-run.js";
export { type Metrics, stagePrograms, type UpdateStage } from "./update-stage.js";
