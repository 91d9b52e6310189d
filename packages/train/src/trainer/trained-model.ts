/** A model as it is in the middle of training: for evaluation, and as a checkpoint in the official format. */
import { saveCheckpoint } from "@dcae/core";
import type { WeightEntry, Weights } from "@dcae/core/checkpoint";
import { type ModelDescription, modelParameters } from "@dcae/core/models";
import type { EngineState } from "@dcae/core/runtime";
import { type EmaOptions, emaPrefix } from "../optimizer/index.js";

/**
 * The model's weights: what trains from the state, the rest from what the run was started with.
 *
 * @param ema takes averages where there are some, instead of the weights themselves
 */
export function trainedWeights(
  model: ModelDescription,
  state: EngineState,
  weights: Weights,
  ema: EmaOptions | null = null,
): Weights {
  const entries = modelParameters(model).map(({ name }): [string, WeightEntry] => {
    const average = ema === null ? name : `${emaPrefix(ema)}.${name}`;
    const held = state.specs.has(average) ? average : name;
    const spec = state.specs.get(held);
    if (spec === undefined) return [name, weights.entries.get(name) as WeightEntry];
    return [name, { name, ...spec, read: () => state.read(held) }];
  });
  return { source: "the model in training", entries: new Map(entries), close: async () => {} };
}

/** Writes `config.json` and `model.safetensors`, which core loads; replaces what an earlier moment of the run wrote there. */
export function saveTrainedModel(
  model: ModelDescription,
  state: EngineState,
  weights: Weights,
  directory: string,
  ema: EmaOptions | null = null,
): Promise<void> {
  return saveCheckpoint(model, trainedWeights(model, state, weights, ema), directory, { overwrite: true });
}
