/** A model as it is in the middle of training, as a checkpoint in the official format. */

import type { Weights } from "@dcae/core/checkpoint";
import { saveCheckpoint } from "@dcae/core/internal";
import { type ModelDescription, modelParameters } from "@dcae/core/models";
import type { EngineState } from "@dcae/core/runtime";
import type { EmaOptions } from "../optimizer/index.js";
import { stateWeights } from "./state-weights.js";

/** Writes `config.json` and `model.safetensors`, which core loads; replaces what an earlier moment of the run wrote there. */
export function saveTrainedModel(
  model: ModelDescription,
  state: EngineState,
  weights: Weights,
  directory: string,
  ema: EmaOptions | null = null,
): Promise<void> {
  const names = modelParameters(model).map(({ name }) => name);
  return saveCheckpoint(model, stateWeights(names, state, weights, ema), directory, { overwrite: true });
}
