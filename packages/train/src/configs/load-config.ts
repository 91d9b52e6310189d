/** A training from a JSON file, or a recipe by name. */
import { readJson } from "@dcae/core/checkpoint";
import { ConfigError } from "@dcae/core/graph";
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
export function readJsonFile(path: string): Promise<unknown> {
  return readJson(path, MAX_CONFIG_BYTES, ConfigError);
}
