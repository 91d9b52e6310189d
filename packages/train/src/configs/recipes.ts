/**
 * Trainings by name: the JSON files of the package's folder `configs/`. A new recipe is a file there, named as it calls itself.
 *
 * Values marked in training.md as published are taken over (learning rates, decays, betas, what trains in which phase); batch
 * sizes and numbers of updates were never published, so those are this project's choices. `expectedTime` and `results` are null
 * until somebody has run a recipe and written down what came out.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, errorMessage } from "@dcae/core/graph";
import { RECIPE_FOLDER } from "../recipe-folder.js";
import { parseTrainingConfig, type TrainingConfig } from "./schema.js";

/** Names of all recipes, sorted. */
export function recipeNames(): string[] {
  return readdirSync(RECIPE_FOLDER)
    .filter((file) => file.endsWith(".json"))
    .map((file) => file.slice(0, -".json".length))
    .sort();
}

/** The recipe of that name. @throws ConfigError that lists the names */
export function trainingRecipe(name: string): TrainingConfig {
  const names = recipeNames();
  if (!names.includes(name)) {
    throw new ConfigError(`there is no training named "${name}"`, {
      hint: `There are ${names.join(", ")}; or name a JSON file.`,
    });
  }
  const path = join(RECIPE_FOLDER, `${name}.json`);
  try {
    return parseTrainingConfig(JSON.parse(readFileSync(path, "utf8")), path);
  } catch (error) {
    throw error instanceof ConfigError ? error : new ConfigError(`${path}: ${errorMessage(error)}`, { cause: error });
  }
}

/** All recipes, checked, sorted by name. */
export function trainingRecipes(): TrainingConfig[] {
  return recipeNames().map(trainingRecipe);
}
