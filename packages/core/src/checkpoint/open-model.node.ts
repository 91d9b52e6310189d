/**
 * Opens a checkpoint by id or path (Node): config and lazily read weights.
 */
import { CheckpointError } from "../errors.js";
import { isSafetensors, isShardIndex } from "./model-files.js";
import { MAX_CONFIG_BYTES, type OpenedModel, parseModelConfig } from "./opened-model.js";
import { type ModelFiles, type ResolveModelOptions, resolveModelFiles } from "./resolve-model-files.node.js";
import { openSafetensorsFile } from "./safetensors-file.node.js";
import { openShardedFile } from "./sharded-file.node.js";
import { readSmallFile } from "./small-file.node.js";
import type { Weights } from "./weights.js";

/** An open checkpoint and the files it lies in. */
export interface OpenedModelFiles extends OpenedModel {
  readonly files: ModelFiles;
}

/**
 * Opens a checkpoint from the hub (through the cache), a folder or a file. Close its `weights` when done.
 *
 * @throws CheckpointError with what is wrong and the next step
 */
export async function openModel(idOrPath: string, options: ResolveModelOptions = {}): Promise<OpenedModelFiles> {
  const files = await resolveModelFiles(idOrPath, options);
  const { configPath, weightsPath, source, notice } = files;
  const config =
    configPath === undefined
      ? undefined
      : parseModelConfig(await readSmallFile(configPath, MAX_CONFIG_BYTES), configPath);
  return { source, config, weights: await openWeightsFile(weightsPath), files, notice };
}

/**
 * Opens a `.safetensors` file, or all shards of a `.safetensors.index.json`.
 *
 * @throws CheckpointError when the files are missing or damaged
 */
export async function openWeightsFile(path: string): Promise<Weights> {
  if (isShardIndex(path)) return openShardedFile(path);
  if (isSafetensors(path)) return openSafetensorsFile(path);
  throw new CheckpointError(`${path}: not a .safetensors file or .safetensors.index.json`);
}
