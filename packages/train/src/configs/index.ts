/** Public names of trainings as data. */
export { loadTrainingConfig } from "./load-config.js";
export { namePatterns } from "./name-patterns.js";
export { overrideConfig } from "./override.js";
export { recipeNames, trainingRecipe, trainingRecipes } from "./recipes.js";
export {
  type DataConfig,
  type DataSourceConfig,
  parseTrainingConfig,
  type TrainingConfig,
  type TrainingConfigInput,
  type TrainingPhase,
  trainingConfigSchema,
} from "./schema.js";
