/**
 * What the other packages of this project share with train: the command line's parts of a training, and what benchmarks measure.
 * Unstable: it changes with any release, without notice. Programs take `@dcae/train` and `@dcae/train/step`.
 */

export { applySettings } from "../configs/override.js";
export { type DataSourceConfig, networkOf } from "../configs/schema.js";
export { batchesPerUpdate } from "../data/channel-counts.js";
export { fileSource } from "../data/picture-source.js";
export { formatDuration, formatProgress } from "../logging/progress.js";
export { l1Loss } from "../phases/reconstruction.js";
export { gradientForms, optimizeForward } from "../step/optimize-forward.js";
export { type FormCosts, type FormName, formTerms, winogradForm } from "../step/winograd-training-cost.js";
export { autoencoderStages, optimizesFor } from "../trainer/autoencoder-stages.js";
export { describeRanks } from "../trainer/estimate-memory.js";
export { type MeasuredUpdate, measureOrEstimateUpdate } from "../trainer/measure-update.js";
export { detectSource } from "../trainer/open-data.js";
export { type DcAeDescription, describeModel } from "../trainer/phase-start.js";
export { describeTeacher, sharedHalves } from "../trainer/teacher.js";
export { trainingFile } from "../trainer/training-run.js";
