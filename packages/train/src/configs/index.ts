/** Public names of trainings as data. */
export { namePatterns } from "./name-patterns.js";
export { overrideConfig } from "./override.js";
export {
  type DataConfig,
  type DataSourceConfig,
  parseTrainingConfig,
  type TrainingConfig,
  type TrainingConfigInput,
  type TrainingPhase,
  trainingConfigSchema,
} from "./schema.js";
