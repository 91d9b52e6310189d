/**
 * A fresh model as weights that are drawn when they are read, so that a model of gigabytes is written one array at a time.
 */
import type { ParameterSpec } from "../graph/parameter.js";
import { initializeParameter } from "../models/initialize.js";
import type { WeightEntry, Weights } from "./weights.js";

/**
 * The initial weights of a model (`modelParameters`), under the model's own parameter names.
 *
 * @param seed integer in [0, 2^64); the same seed gives the same values, in whatever order they are read
 */
export function initialWeights(specs: readonly ParameterSpec[], seed: number | bigint): Weights {
  const entries = specs.map((spec): [string, WeightEntry] => {
    const { name, dtype, shape } = spec;
    return [name, { name, dtype, shape, read: async () => initializeParameter(spec, seed) }];
  });
  return { source: `fresh model of seed ${seed}`, entries: new Map(entries), close: async () => {} };
}
