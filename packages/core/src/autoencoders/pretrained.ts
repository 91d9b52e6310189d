/** Loading an autoencoder, the same on every platform: what differs (where files come from, what computes) is an argument. */
import type { OpenedModel } from "../checkpoint/opened-model.js";
import type { Kind } from "../models/families.js";
import { requireFamily } from "../models/model-description.js";
import { failClosed } from "../runtime/close-all.js";
import type { Engine } from "../runtime/engine.js";
import type { ModelParts } from "./autoencoder.js";
import { type Checkpoint, type CheckpointOptions, checkOpened } from "./check-checkpoint.js";

export interface PretrainedOptions extends CheckpointOptions {
  /** How many programs (one per shape and direction) stay loaded. Default 2: one encoder and one decoder. */
  readonly maxPrograms?: number | undefined;
}

export interface Platform<Options extends PretrainedOptions> {
  /** Opens the files that a name stands for. */
  open(name: string, options: Options): Promise<OpenedModel>;
  /** Starts what will compute the model. */
  createEngine(checkpoint: Checkpoint, options: Options): Promise<Engine>;
}

/**
 * The parts of the model that a name stands for. Closes what it opened when anything fails.
 *
 * @param kind the family that it must be of; undefined for any
 * @throws ConfigError when it is of another one, and what the platform throws
 */
export async function loadParts<Options extends PretrainedOptions, K extends Kind = Kind>(
  platform: Platform<Options>,
  name: string,
  options: Options,
  kind?: K,
): Promise<ModelParts<K>> {
  const checkpoint = await checkOpened(await platform.open(name, options), options);
  const { model, weights } = checkpoint;
  try {
    const description = (kind === undefined ? model : requireFamily(model, kind, name)) as ModelParts<K>["description"];
    const engine = await platform.createEngine(checkpoint, options);
    return { name, description, weights, engine, maxPrograms: options.maxPrograms };
  } catch (error) {
    return failClosed(error, [() => weights.close()]);
  }
}
