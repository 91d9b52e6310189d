/** Opens a model from the hub, a folder or a file: configuration and weights, checked against each other. */
import { parseJson } from "../checkpoint/json-text.js";
import { openSafetensorsFile } from "../checkpoint/safetensors-file.node.js";
import { openShardedFile } from "../checkpoint/sharded-file.node.js";
import { readSmallFile } from "../checkpoint/small-file.node.js";
import { ConfigError } from "../errors.js";
import { type DcAeConfigInput, resolveDcAeConfig } from "../models/dc-ae-config.js";
import { getPreset } from "../models/find-preset.js";
import { describePreset, type ModelDescription, readModelConfig } from "../models/model-description.js";
import { type Checkpoint, checkCheckpoint } from "./check-checkpoint.js";
import { findModelFiles } from "./find-model-files.node.js";
import { type HubOptions, resolveModelPath } from "../checkpoint/hub.node.js";

const MAX_CONFIG_BYTES = 1_000_000;

export interface OpenOptions extends HubOptions {
  /** The model's configuration, instead of what the checkpoint's config.json says: a preset's name or a DC-AE config. */
  readonly config?: string | DcAeConfigInput | undefined;
  /** Scaling factor of the latents, instead of the published one. */
  readonly scalingFactor?: number | undefined;
}

function explicitModel({ config, scalingFactor }: OpenOptions): ModelDescription | undefined {
  if (config === undefined) return undefined;
  if (typeof config === "string") return describePreset(getPreset(config));
  return { kind: "dc-ae", config: resolveDcAeConfig(config), scalingFactor: scalingFactor ?? null, shiftFactor: null };
}

/**
 * Opens a checkpoint; its arrays are read later, one by one.
 *
 * @param idOrPath a repository of the Hugging Face hub ("mit-han-lab/dc-ae-f64c128-in-1.0"), a folder, or a weight file
 * @throws CheckpointError listing the tensors that lack, are too many or have another shape; ConfigError for unusable
 *   configurations; DataError when files can't be had
 */
export async function openCheckpoint(idOrPath: string, options: OpenOptions = {}): Promise<Checkpoint> {
  const { scalingFactor } = options;
  if (scalingFactor !== undefined && !(scalingFactor > 0 && Number.isFinite(scalingFactor))) {
    throw new ConfigError(`scalingFactor: ${scalingFactor} isn't a positive number`);
  }
  const files = await findModelFiles(await resolveModelPath(idOrPath, options));
  const explicit = explicitModel(options);
  const described =
    explicit ??
    (files.config === undefined
      ? undefined
      : readModelConfig(parseJson(await readSmallFile(files.config, MAX_CONFIG_BYTES), files.config), files.config));
  const weights = files.weights.endsWith(".json")
    ? await openShardedFile(files.weights)
    : await openSafetensorsFile(files.weights);
  try {
    const checkpoint = checkCheckpoint(weights, described);
    return scalingFactor === undefined
      ? checkpoint
      : { ...checkpoint, model: { ...checkpoint.model, scalingFactor } };
  } catch (error) {
    await weights.close();
    throw error;
  }
}
