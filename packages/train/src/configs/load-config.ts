/** A training from a JSON file, or a recipe by name. */
import { readSmallFile } from "@dcae/core/checkpoint";
import { ConfigError, errorMessage } from "@dcae/core/graph";
import { trainingRecipe } from "./recipes.js";
import { parseTrainingConfig, type TrainingConfig } from "./schema.js";

const MAX_CONFIG_BYTES = 4 * 2 ** 20;

/**
 * @param nameOrPath what ends in .json is a file
 * @throws ConfigError when there is no such recipe, or the file isn't a training
 */
export async function loadTrainingConfig(nameOrPath: string): Promise<TrainingConfig> {
  if (!/\.json$/i.test(nameOrPath)) return trainingRecipe(nameOrPath);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(await readSmallFile(nameOrPath, MAX_CONFIG_BYTES)));
  } catch (error) {
    const message = errorMessage(error);
    throw new ConfigError(message.startsWith(nameOrPath) ? message : `${nameOrPath}: not JSON: ${message}`, {
      cause: error,
    });
  }
  return parseTrainingConfig(value, nameOrPath);
}
