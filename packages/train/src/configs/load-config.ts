/** A training from a JSON file, or a recipe by name. */
import { readSmallFile } from "@dcae/core/checkpoint";
import { ConfigError, errorMessage } from "@dcae/core/graph";
import { extendConfig } from "./extend-config.js";
import { trainingRecipe } from "./recipes.js";
import { parseTrainingConfig, type TrainingConfig } from "./schema.js";

const MAX_CONFIG_BYTES = 4 * 2 ** 20;

/**
 * @param nameOrPath what ends in .json is a file; with `extends` it is another training with changes (see `extendConfig`)
 * @throws ConfigError when there is no such recipe, or the file isn't a training
 */
export async function loadTrainingConfig(nameOrPath: string): Promise<TrainingConfig> {
  if (!/\.json$/i.test(nameOrPath)) return trainingRecipe(nameOrPath);
  return parseTrainingConfig(await extendConfig(await readJsonFile(nameOrPath), nameOrPath, readTraining), nameOrPath);
}

const readTraining = async (nameOrPath: string): Promise<unknown> =>
  /\.json$/i.test(nameOrPath) ? readJsonFile(nameOrPath) : trainingRecipe(nameOrPath);

/** What a JSON file of a user holds. @throws ConfigError when it can't be read or isn't JSON */
export async function readJsonFile(path: string): Promise<unknown> {
  try {
    return JSON.parse(new TextDecoder().decode(await readSmallFile(path, MAX_CONFIG_BYTES))) as unknown;
  } catch (error) {
    const message = errorMessage(error);
    throw new ConfigError(message.startsWith(path) ? message : `${path}: not JSON: ${message}`, { cause: error });
  }
}
