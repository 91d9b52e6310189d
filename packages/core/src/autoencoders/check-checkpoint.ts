/** A file's weights as a model's: recognizes the format, finds or checks the configuration, refuses what doesn't fit. */
import { checkWeights } from "../checkpoint/check-weights.js";
import { inferModel, matchPublishedModels } from "../checkpoint/infer-model.js";
import { mapWeights } from "../checkpoint/map-weights.js";
import { recognizeFormat, type WeightFormat } from "../checkpoint/recognize-format.js";
import { planWeights } from "../checkpoint/weight-plan.js";
import type { Weights } from "../checkpoint/weights.js";
import { CheckpointError } from "../errors.js";
import type { ModelDescription } from "../models/model-description.js";
import { modelParameters } from "../models/model-parameters.js";

/** A model and its weights under the model's own parameter names. */
export interface Checkpoint {
  readonly model: ModelDescription;
  readonly weights: Weights;
  /** Format of the file it was read from. */
  readonly format: WeightFormat;
}

/**
 * Joins weights with the configuration that came with them (or, without one, with that of the published model which has
 * exactly these tensors).
 *
 * @throws CheckpointError listing what doesn't fit; ConfigError when no configuration is given and none can be inferred
 */
export function checkCheckpoint(weights: Weights, described: ModelDescription | undefined): Checkpoint {
  const format = recognizeFormat(weights.entries.keys(), weights.source);
  const model = described ?? inferModel(weights);
  if ((model.kind === "sd-vae") !== format.startsWith("kl-")) {
    throw new CheckpointError(`${weights.source}: the tensors are those of a ${format} file, the config is of ${model.kind}`);
  }
  const plan = planWeights(modelParameters(model), format);
  checkWeights(plan, weights, {
    ...(model.preset === undefined ? {} : { model: model.preset }),
    identify: () => matchPublishedModels(weights, format).flatMap(({ presets }) => presets.map(({ name }) => name)),
  });
  return { model, weights: mapWeights(weights, plan), format };
}
