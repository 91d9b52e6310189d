/** A model's configuration from a JSON file in any of the known forms. */
import { CheckpointError, ConfigError, DataError } from "@dcae/core";
import { parseModelConfig, readSmallFile } from "@dcae/core/checkpoint";
import {
  type DcAeConfig,
  type ModelDescription,
  parseOfficialConfig,
  readModelConfig,
  resolveDcAeConfig,
} from "@dcae/core/models";

/** Configurations have a few kilobytes. */
const MAX_BYTES = 4_000_000;

/**
 * Reads a configuration: a config.json of either published format, or a bare DC-AE configuration with the official
 * constructor's names (`latent_channels`, `encoder: { width_list: [...] }`) or those of `@dcae/core` (`latentChannels`...).
 *
 * @throws DataError when the file can't be read, ConfigError naming what is wrong in it
 */
export async function readConfigFile(path: string): Promise<ModelDescription> {
  const json = await readObject(path);
  if ("_class_name" in json || "model_name" in json || "config" in json) return readModelConfig(json, path);
  const config = isCamelCase(json) ? resolve(json, path) : parseOfficialConfig(json, path);
  return { kind: "dc-ae", config, scalingFactor: null, shiftFactor: null };
}

async function readObject(path: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return parseModelConfig(await readSmallFile(path, MAX_BYTES), path);
  } catch (error) {
    // The reader speaks of checkpoints; for a configuration the same lines are data errors.
    if (!(error instanceof CheckpointError)) throw error;
    throw new DataError(error.message, { cause: error, ...(error.hint === undefined ? {} : { hint: error.hint }) });
  }
}

function isCamelCase(json: Readonly<Record<string, unknown>>): boolean {
  const keys = [json, json.encoder, json.decoder].flatMap((part) =>
    typeof part === "object" && part !== null ? Object.keys(part) : [],
  );
  return keys.some((key) => /[a-z][A-Z]/.test(key));
}

function resolve(json: Readonly<Record<string, unknown>>, path: string): DcAeConfig {
  try {
    return resolveDcAeConfig(json);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(`${path}: ${error.message}`, { cause: error });
  }
}
