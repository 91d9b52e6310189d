/** Public names of trainings as data. */
export { extendConfig } from "./extend-config.js";
export { type FinetuneOptions, finetuneConfig } from "./finetune-config.js";
export { loadTrainingConfig, readJsonFile } from "./load-config.js";
export { namePatterns } from "./name-patterns.js";
export { applySettings, overrideConfig } from "./override.js";
export { recipeNames, trainingRecipe, trainingRecipes } from "./recipes.js";
export { describeSchedule, resolveSchedule } from "./run-schedule.js";
export {
  type DataConfig,
  type DataSourceConfig,
  emaSchema,
  measuredSchema,
  type OptimizerConfig,
  optimizerSchema,
  parseConfig,
  parseTrainingConfig,
  type ScheduleConfig,
  type TrainingConfig,
  type TrainingConfigInput,
  type TrainingPhase,
  trainingConfigSchema,
} from "./schema.js";
