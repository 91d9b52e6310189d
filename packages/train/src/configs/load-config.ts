/**
 * Trainings by name or file. Recipes are the JSON files of the package's folder `configs/`; a new one is a file there, named as it calls
 * itself. A file may be another training with changes:
 * `{ "extends": "small-f32-scenes", "phases": { "phase1": { "steps": 500 } } }`.
 *
 * Values of recipes that training.md marks as published are taken over (learning rates, decays, betas, what trains in which phase);
 * batch sizes and numbers of updates were never published, so those are this project's choices. `expectedTime` and `results` are
 * null until somebody has run a recipe and written down what came out.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { readJson } from "@dcae/core/checkpoint";
import { ConfigError, errorMessage } from "@dcae/core/graph";
import { RECIPE_FOLDER } from "../recipe-folder.js";
import { parseTrainingConfig, type TrainingConfig } from "./schema.js";

const MAX_CONFIG_BYTES = 4 * 2 ** 20;

/**
 * @param nameOrPath what ends in .json is a file; with `extends` it is another training with changes (see `extendConfig`)
 * @throws ConfigError when there is no such recipe, or the file isn't a training
 */
/**
 * A training by the name of its recipe, or from a `.json` file.
 *
 * @throws ConfigError that names the field that is wrong
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

/** Names of the recipes in a folder, sorted. */
export function recipeNames(folder: string = RECIPE_FOLDER): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .map((file) => file.slice(0, -".json".length))
    .sort();
}

/** The file of a recipe. @throws ConfigError that lists the names */
export function recipeFile(name: string, what = "training", folder: string = RECIPE_FOLDER): string {
  const names = recipeNames(folder);
  if (names.includes(name)) return join(folder, `${name}.json`);
  throw new ConfigError(`there is no ${what} named "${name}"`, {
    hint: `There are ${names.join(", ")}; or name a JSON file.`,
  });
}

/** The recipe of that name. @throws ConfigError that lists the names */
export function trainingRecipe(name: string): TrainingConfig {
  const path = recipeFile(name);
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

type Node = Record<string, unknown>;

const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && !Array.isArray(value);

/** What was said of the base and isn't true of what extends it. */
const NOT_INHERITED = ["command", "expectedTime", "results"];

/**
 * A training as written, with everything that it extends put in.
 *
 * @param config as JSON
 * @param path its file
 * @param read the JSON of another training; names that end in .json are files, relative to the one that names them
 * @throws ConfigError when trainings extend each other in a circle, or change what isn't there
 */
export async function extendConfig(
  config: unknown,
  path: string,
  read: (nameOrPath: string) => Promise<unknown>,
  seen: readonly string[] = [],
): Promise<unknown> {
  if (!isNode(config) || config.extends === undefined) return config;
  const { extends: name, ...changes } = config;
  if (typeof name !== "string" || name === "") {
    throw new ConfigError(`${path}: extends must be a recipe's name or a JSON file, got ${JSON.stringify(name)}`);
  }
  const isFile = /\.json$/i.test(name);
  const place = isFile && !isAbsolute(name) ? join(dirname(path), name) : name;
  const known = [...seen, resolve(path)];
  if (isFile && known.includes(resolve(place))) {
    throw new ConfigError(`${path}: extends ${name}, which extends it again`);
  }
  const base = await extendConfig(await read(place), place, read, known);
  const inherited = isNode(base) ? Object.entries(base).filter(([key]) => !NOT_INHERITED.includes(key)) : [];
  return merge(Object.fromEntries(inherited), changes, path);
}

/**
 * `changes` on top of `base`: objects are merged, everything else is replaced. Items of a list are reached by their number or name, as in
 * settings. An object of another `kind` replaces the whole.
 */
function merge(base: unknown, changes: unknown, path: string): unknown {
  if (!isNode(changes)) return changes;
  if (Array.isArray(base)) {
    const items: unknown[] = [...base];
    for (const [key, value] of Object.entries(changes)) {
      const named = items.findIndex((item) => isNode(item) && item.name === key);
      const at = named === -1 && /^\d+$/.test(key) ? Number(key) : named;
      if (at === -1 || at >= items.length) {
        const names = items.map((item, i) => (isNode(item) && typeof item.name === "string" ? item.name : i));
        throw new ConfigError(`${path}: there is no "${key}"`, { hint: `There are ${names.join(", ")}.` });
      }
      items[at] = merge(items[at], value, `${path}.${key}`);
    }
    return items;
  }
  if (!isNode(base) || (changes.kind !== undefined && changes.kind !== base.kind)) return changes;
  const merged = new Map(Object.entries(base));
  for (const [key, value] of Object.entries(changes)) merged.set(key, merge(merged.get(key), value, `${path}.${key}`));
  return Object.fromEntries(merged);
}
