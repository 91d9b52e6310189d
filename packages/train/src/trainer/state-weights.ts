/**
 * The weights of a model in the middle of training, and their averages in their place: for evaluation, samples, checkpoints.
 */
import type { WeightEntry, Weights } from "@dcae/core/checkpoint";
import type { Program, Scope } from "@dcae/core/graph";
import type { EngineState } from "@dcae/core/runtime";
import { type EmaOptions, emaPrefix } from "../optimizer/index.js";

/**
 * Weights by name: what trains from the state, the rest from what the run was started with.
 *
 * @param names official names
 * @param ema takes averages where there are some, instead of the weights themselves
 */
export function stateWeights(
  names: Iterable<string>,
  state: EngineState,
  weights: Weights,
  ema: EmaOptions | null = null,
): Weights {
  const entries = [...names].map((name): [string, WeightEntry] => {
    const average = ema === null ? name : `${emaPrefix(ema)}.${name}`;
    const held = state.specs.has(average) ? average : name;
    const spec = state.specs.get(held);
    if (spec === undefined) return [name, weights.entries.get(name) as WeightEntry];
    return [name, { name, ...spec, read: () => state.read(held) }];
  });
  return { source: "the model in training", entries: new Map(entries), close: async () => {} };
}

/** A scope whose names are those of the averages, so that a program reads them where they lie. */
export function averagedScope(scope: Scope, ema: EmaOptions | null): Scope {
  return ema === null ? scope : scope.at(emaPrefix(ema));
}

/** Tensors that have no average (what doesn't train, and counters) under the names of averages as well. */
export function withAverageNames(program: Program, weights: Weights, ema: EmaOptions | null): Weights {
  if (ema === null) return weights;
  const prefix = `${emaPrefix(ema)}.`;
  const entries = new Map(weights.entries);
  for (const name of program.parameters.keys()) {
    if (!name.startsWith(prefix) || entries.has(name)) continue;
    const plain = weights.entries.get(name.slice(prefix.length)) as WeightEntry;
    entries.set(name, { ...plain, name });
  }
  return { ...weights, entries };
}
