/** Weights made in memory, for tests of names and shapes. */

import type { WeightPlan } from "../../src/checkpoint/names/weight-plan.js";
import type { WeightEntry, Weights } from "../../src/checkpoint/weights.js";
import type { DType } from "../../src/graph/dtype.js";
import { Tensor } from "../../src/graph/tensor.js";

export interface ArraySpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype?: DType;
}

/** Weights of these shapes, all 0. */
export function zeroWeights(specs: Iterable<ArraySpec>, source = "test"): Weights {
  const entries = new Map<string, WeightEntry>();
  for (const { name, shape, dtype = "float32" } of specs) {
    entries.set(name, { name, shape, dtype, read: async () => Tensor.zeros(shape, dtype) });
  }
  return { source, entries, close: async () => {} };
}

/** These tensors by their names. */
export function memoryWeights(tensors: Readonly<Record<string, Tensor>>): Weights {
  const entries = Object.entries(tensors).map(
    ([name, tensor]) => [name, { name, dtype: tensor.dtype, shape: tensor.shape, read: async () => tensor }] as const,
  );
  return { source: "test", entries: new Map(entries), close: async () => {} };
}

/** A file that holds exactly what a plan asks for. */
export function weightsOfPlan(plan: WeightPlan, source?: string): Weights {
  return zeroWeights(
    plan.flatMap(({ spec, pieces }) => pieces.map((piece) => ({ ...piece, dtype: spec.dtype }))),
    source,
  );
}

/** The same weights with some entries replaced, added (a spec) or removed (null). */
export function changed(weights: Weights, changes: Readonly<Record<string, Omit<ArraySpec, "name"> | null>>): Weights {
  const entries = new Map(weights.entries);
  for (const [name, change] of Object.entries(changes)) {
    if (change === null) entries.delete(name);
    else for (const [, entry] of zeroWeights([{ name, ...change }]).entries) entries.set(name, entry);
  }
  return { ...weights, entries };
}

/** All arrays, read. */
export async function readAll(weights: Weights): Promise<Map<string, Tensor>> {
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of weights.entries) tensors.set(name, await entry.read());
  return tensors;
}
