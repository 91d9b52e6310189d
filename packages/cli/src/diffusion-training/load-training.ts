/** A diffusion training: a recipe of the package, a JSON file, or that of a run. */
import { readdirSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "@dcae/core";
import { applySettings, extendConfig, readJsonFile } from "@dcae/train";
import { RECIPE_FOLDER } from "../recipe-folder.js";
import { asError } from "../rethrow-as.js";
import { UsageError } from "../usage-error.js";
import { type DiffusionTraining, parseDiffusionTraining } from "./schema.js";

export interface TrainingChoice {
  readonly config?: string;
  readonly out?: string;
  readonly resume?: boolean;
  readonly data?: string;
  readonly validation?: string;
  readonly autoencoder?: string;
  readonly set?: readonly string[];
}

/** Where a run keeps the training that it was started with. */
export function diffusionTrainingFile(directory: string): string {
  return join(directory, "training.json");
}

/** Names of all recipes, sorted. */
export function diffusionRecipeNames(): string[] {
  return readdirSync(RECIPE_FOLDER)
    .filter((file) => file.endsWith(".json"))
    .map((file) => file.slice(0, -".json".length))
    .sort();
}

function recipePath(name: string): string {
  const names = diffusionRecipeNames();
  if (names.includes(name)) return join(RECIPE_FOLDER, `${name}.json`);
  throw new ConfigError(`there is no diffusion training named "${name}"`, {
    hint: `There are ${names.join(", ")}; or name a JSON file.`,
  });
}

/** @param nameOrPath what ends in .json is a file, anything else a recipe */
export async function loadDiffusionTraining(nameOrPath: string): Promise<DiffusionTraining> {
  const path = pathOf(nameOrPath);
  const written = await readJsonFile(path);
  return parseDiffusionTraining(await extendConfig(written, path, (other) => readJsonFile(pathOf(other))), path);
}

const pathOf = (nameOrPath: string) => (/\.json$/i.test(nameOrPath) ? nameOrPath : recipePath(nameOrPath));

/**
 * The training that a command line means, with what its options replace, and the folder of its run.
 *
 * @throws UsageError when neither --config nor a run is given
 */
export async function chooseDiffusionTraining(
  choice: TrainingChoice,
): Promise<{ readonly config: DiffusionTraining; readonly directory: string }> {
  const { config: name, out, resume } = choice;
  if (name !== undefined) {
    const config = replace(await loadDiffusionTraining(name), choice);
    return { config, directory: out ?? join("runs", config.name) };
  }
  if (resume !== true || out === undefined) {
    throw new UsageError("give --config, a recipe or a JSON file (or --resume and the --out of a run)", {
      hint: "`dcae diffusion train --list` shows the recipes.",
    });
  }
  const path = diffusionTrainingFile(out);
  if ((await stat(path).catch(() => undefined)) === undefined) {
    throw new UsageError(`--resume: there is no run in ${out}`, { hint: "Start one with --config." });
  }
  return { config: replace(await loadDiffusionTraining(path), choice), directory: out };
}

function replace(
  config: DiffusionTraining,
  { data, validation, autoencoder, set = [] }: TrainingChoice,
): DiffusionTraining {
  const changed = {
    ...config,
    ...(autoencoder === undefined ? {} : { autoencoder }),
    data: {
      ...config.data,
      // Held-out latents belong to the data that they were held out of.
      ...(data === undefined ? {} : { path: data, validation: null }),
      ...(validation === undefined ? {} : { validation }),
    },
  };
  try {
    return parseDiffusionTraining(applySettings(changed, set), "settings");
  } catch (error) {
    throw error instanceof ConfigError ? asError(UsageError, "--set: ", error) : error;
  }
}
