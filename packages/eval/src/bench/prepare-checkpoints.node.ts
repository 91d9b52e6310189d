/**
 * Weights for the models of a benchmark. A model that is given by a preset's name gets fresh random weights, since speed
 * doesn't depend on what they are; they are written once, so that every measurement maps a file as real use does.
 */
import { join } from "node:path";
import { ConfigError, getPreset, saveCheckpoint } from "@dcae/core";
import { initialWeights } from "@dcae/core/checkpoint";
import { describePreset, findPreset, modelParameters } from "@dcae/core/models";

/**
 * The checkpoint of a model: written below `folder` for presets, otherwise the path or id itself.
 *
 * @throws ConfigError for a name that is neither a preset nor looks like a path
 */
export async function prepareCheckpoint(model: string, folder: string): Promise<string> {
  if (findPreset(model) === undefined) {
    if (!/[/\\.]/.test(model)) getPreset(model);
    return model;
  }
  if (model.includes("/")) throw new ConfigError(`${model}: give the preset's plain name, or a local folder`);
  const description = describePreset(getPreset(model));
  const weights = initialWeights(modelParameters(description), 0);
  const path = join(folder, model);
  await saveCheckpoint(description, weights, path);
  return path;
}
