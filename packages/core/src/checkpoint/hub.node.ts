/**
 * The short way to a checkpoint's weights by id or path; resolve-model-files.node.ts says more about them.
 */
import { type ResolveModelOptions, resolveModelFiles } from "./resolve-model-files.node.js";

/** Options about the hub and its cache. */
export type HubOptions = ResolveModelOptions;

/**
 * Path of a checkpoint's weights (a `.safetensors` file or a shard index) on this machine, downloaded where needed. Its
 * `config.json`, where it has one, lies in the same folder.
 *
 * @throws CheckpointError when it can't be found or loaded, ConfigError for options that make no sense
 */
export async function resolveModelPath(idOrPath: string, options: HubOptions = {}): Promise<string> {
  const { weightsPath } = await resolveModelFiles(idOrPath, options);
  return weightsPath;
}
