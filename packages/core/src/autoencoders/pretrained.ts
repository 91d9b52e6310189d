/** Loading an autoencoder, the same on every platform: what differs (where files come from, what computes) is an argument. */

import type { OptionNames } from "../check-options.js";
import {
  inferModel,
  matchPublishedModels,
  recognizeFormat,
  unwrapWeights,
  withoutMissingPart,
} from "../checkpoint/names/infer-model.js";
import { checkWeights, mapWeights, planWeights } from "../checkpoint/names/weight-plan.js";
import { type ModelSource, nameOfSource, type OpenedModel } from "../checkpoint/opened-model.js";
import type { Weights } from "../checkpoint/weights.js";
import { CheckpointError, ConfigError } from "../errors.js";
import type { Image } from "../image/image.js";
import type { ImageSource } from "../image/picture-source.js";
import { type DcAeConfigInput, resolveDcAeConfig } from "../models/dc-ae/dc-ae-config.js";
import { familyOfFormat, type Kind, nameOfFamily, type WeightFormat } from "../models/families.js";
import {
  describePreset,
  getPreset,
  type ModelDescription,
  readModelConfig,
  requireFamily,
} from "../models/model-description.js";
import { modelParameters } from "../models/model-programs.js";
import { closeAll, failClosed, unlessAborted } from "../runtime/close-all.js";
import type { Engine } from "../runtime/engine.js";
import type { ModelParts } from "./autoencoder.js";

export interface PretrainedOptions extends CheckpointOptions {
  /** Ends loading with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** How many programs (one per shape and direction) stay loaded. Default 2: one encoder and one decoder. */
  readonly maxPrograms?: number | undefined;
}

export interface Platform<Options extends PretrainedOptions> {
  /** Refuses what is wrong with the options alone, before anything is opened. */
  check(options: Options): void;
  /** Opens the files that a name or URLs stand for. */
  open(source: ModelSource, options: Options): Promise<OpenedModel>;
  /** Reads pictures that aren't tensors. */
  readPicture(source: ImageSource): Promise<Image>;
  /** Starts what will compute the model. */
  createEngine(checkpoint: Checkpoint, options: Options): Promise<Engine>;
}

/**
 * The parts of the model that a name or URLs stand for. Closes what it opened when anything fails.
 *
 * @param kind the family that it must be of; undefined for any
 * @throws ConfigError when it is of another one, and what the platform throws
 */
export async function loadParts<Options extends PretrainedOptions, K extends Kind = Kind>(
  platform: Platform<Options>,
  source: ModelSource,
  options: Options,
  kind?: K,
): Promise<ModelParts<K>> {
  const name = nameOfSource(source);
  platform.check(options);
  const { signal } = options;
  signal?.throwIfAborted();
  const load = async (): Promise<ModelParts<K>> => {
    const checkpoint = await checkOpened(await platform.open(source, options), options);
    const { model, weights } = checkpoint;
    try {
      const description = (
        kind === undefined ? model : requireFamily(model, kind, name)
      ) as ModelParts<K>["description"];
      signal?.throwIfAborted();
      const engine = await platform.createEngine(checkpoint, options);
      const { readPicture } = platform;
      return { name, description, weights, engine, readPicture, maxPrograms: options.maxPrograms };
    } catch (error) {
      return failClosed(error, [() => weights.close()]);
    }
  };
  const loading = load();
  if (signal === undefined) return loading;
  return unlessAborted(loading, signal).catch((error: unknown) => {
    // Who gave up doesn't wait for what is still being opened; it is closed as soon as it is there.
    loading
      .then(({ engine, weights }) => closeAll([() => engine.dispose(), () => weights.close()]))
      .catch(() => undefined);
    throw error;
  });
}

/** A model and its weights under the model's own parameter names. */
export interface Checkpoint {
  readonly model: ModelDescription;
  readonly weights: Weights;
  /** Format of the file it was read from. */
  readonly format: WeightFormat;
}

export interface CheckpointOptions {
  /** The model's configuration, instead of what the checkpoint's config.json says: a preset's name, a DC-AE config, or a description. */
  readonly config?: string | DcAeConfigInput | ModelDescription | undefined;
  /** Scaling factor of the latents, instead of the published one. */
  readonly scalingFactor?: number | undefined;
  /** What is subtracted from latents before they are scaled, instead of the published value. */
  readonly shiftFactor?: number | undefined;
}

export const CHECKPOINT_OPTIONS: OptionNames<CheckpointOptions> = {
  config: true,
  scalingFactor: true,
  shiftFactor: true,
};

export const PRETRAINED_OPTIONS: OptionNames<PretrainedOptions> = {
  ...CHECKPOINT_OPTIONS,
  signal: true,
  maxPrograms: true,
};

/**
 * The model that the options or else the checkpoint's config.json describe; undefined when neither says anything.
 *
 * @throws ConfigError naming what is wrong with them
 */
function chooseModel(
  configFile: unknown,
  source: string,
  { config, scalingFactor, shiftFactor }: CheckpointOptions,
): ModelDescription | undefined {
  if (scalingFactor !== undefined && !(scalingFactor > 0 && Number.isFinite(scalingFactor))) {
    throw new ConfigError(`scalingFactor: ${scalingFactor} isn't a positive number`);
  }
  if (shiftFactor !== undefined && !Number.isFinite(shiftFactor)) {
    throw new ConfigError(`shiftFactor: ${shiftFactor} isn't a number`);
  }
  if (typeof config === "string") return describePreset(getPreset(config));
  if (config !== undefined) {
    if ("kind" in config) return config;
    return { kind: "dc-ae", config: resolveDcAeConfig(config), scalingFactor: null, shiftFactor: null };
  }
  return configFile === undefined ? undefined : readModelConfig(configFile, source);
}

/**
 * Joins weights with their model (or, where that isn't known, with the published model that has exactly these tensors).
 *
 * @throws CheckpointError listing what doesn't fit; ConfigError when no model is given and none can be inferred
 */
export function checkCheckpoint(
  given: Weights,
  described: ModelDescription | undefined,
  { scalingFactor, shiftFactor }: Pick<CheckpointOptions, "scalingFactor" | "shiftFactor"> = {},
): Checkpoint {
  const weights = unwrapWeights(given);
  const format = recognizeFormat(weights.entries.keys(), weights.source);
  const full = described ?? inferModel(weights);
  if (familyOfFormat(format) !== full.kind) {
    throw new CheckpointError(
      `${weights.source}: the tensors have the names of the ${format} format, but the config describes ${nameOfFamily(full.kind)}`,
    );
  }
  const model = withoutMissingPart(full, [...weights.entries.keys()], format);
  const plan = planWeights(modelParameters(model), format);
  checkWeights(plan, weights, {
    ...(model.preset === undefined ? {} : { model: model.preset }),
    identify: () => matchPublishedModels(weights, format).flatMap(({ presets }) => presets.map(({ name }) => name)),
  });
  const scaled = {
    ...model,
    ...(scalingFactor === undefined ? {} : { scalingFactor }),
    ...(shiftFactor === undefined ? {} : { shiftFactor }),
  };
  return { model: scaled, weights: mapWeights(weights, plan), format };
}

/**
 * What was opened as a model and its weights; closes them when they don't fit.
 *
 * @throws as `chooseModel` and `checkCheckpoint`
 */
export async function checkOpened(opened: OpenedModel, options: CheckpointOptions): Promise<Checkpoint> {
  try {
    const described = chooseModel(opened.config, opened.configSource, options);
    return checkCheckpoint(opened.weights, described, options);
  } catch (error) {
    return failClosed(error, [() => opened.weights.close()]);
  }
}
