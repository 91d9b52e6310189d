/**
 * Weights for the models of a benchmark. A model that is given by a preset's name gets fresh random weights, since speed
 * doesn't depend on what they are; they are written once, so that every measurement maps a file as real use does.
 */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { BUNDLED_MODEL, bundledModelPath, ConfigError, getPreset, saveCheckpoint } from "@dcae/core";
import { initialWeights } from "@dcae/core/checkpoint";
import { describePreset, findPreset, modelParameters } from "@dcae/core/models";

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/**
 * The checkpoint of a model: what lies under this path, or random weights of the preset of this name, which are written
 * below `folder` unless an earlier run did. The model that comes with @dcae/core is known by its name too.
 *
 * @throws ConfigError for a name that is neither a preset's nor a path's
 */
export async function prepareCheckpoint(model: string, folder: string): Promise<string> {
  if (await exists(model)) return model;
  if (model === BUNDLED_MODEL) return bundledModelPath();
  if (!/[/\\]/.test(model)) getPreset(model);
  const preset = findPreset(model);
  if (preset === undefined || /[/\\]/.test(model)) {
    throw new ConfigError(`${model}: there is no such checkpoint here`, {
      hint:
        preset === undefined
          ? "Give a folder or file with weights, or the plain name of a published model."
          : `Give its plain name, ${preset.name}, for random weights, or a local folder.`,
    });
  }
  const path = join(folder, preset.name);
  // Checkpoints take their name when they are complete.
  if (await exists(join(path, "config.json"))) return path;
  const description = describePreset(preset);
  await saveCheckpoint(description, initialWeights(modelParameters(description), 0), path);
  return path;
}
