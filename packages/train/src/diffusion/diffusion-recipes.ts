/** Diffusion trainings by name, the JSON files of the package's folder `configs/diffusion/`, and those of users. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "@dcae/core";
import { extendConfig } from "../configs/extend-config.js";
import { readJsonFile } from "../configs/load-config.js";
import { RECIPE_FOLDER } from "../recipe-folder.js";
import { type DiffusionConfig, parseDiffusionConfig } from "./diffusion-config.js";

const FOLDER = join(RECIPE_FOLDER, "diffusion");

/** Names of all recipes, sorted. */
export function diffusionRecipeNames(): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith(".json"))
    .map((file) => file.slice(0, -".json".length))
    .sort();
}

function pathOf(nameOrPath: string): string {
  if (/\.json$/i.test(nameOrPath)) return nameOrPath;
  const names = diffusionRecipeNames();
  if (names.includes(nameOrPath)) return join(FOLDER, `${nameOrPath}.json`);
  throw new ConfigError(`there is no diffusion training named "${nameOrPath}"`, {
    hint: `There are ${names.join(", ")}; or name a JSON file.`,
  });
}

/**
 * @param nameOrPath what ends in .json is a file, anything else a recipe; a file with `extends` is another training with changes
 * @throws ConfigError when there is no such recipe, or the file isn't a diffusion training
 */
export async function loadDiffusionConfig(nameOrPath: string): Promise<DiffusionConfig> {
  const path = pathOf(nameOrPath);
  const written = await readJsonFile(path);
  return parseDiffusionConfig(await extendConfig(written, path, (other) => readJsonFile(pathOf(other))), path);
}
