/** Weights from tensors in memory. */
import type { Weights } from "@dcae/core/checkpoint";
import type { Tensor } from "@dcae/core/graph";

export function memoryWeights(tensors: Iterable<readonly [string, Tensor]>, source = "memory"): Weights {
  const entries = [...tensors].map(
    ([name, tensor]) => [name, { name, dtype: tensor.dtype, shape: tensor.shape, read: async () => tensor }] as const,
  );
  return { source, entries: new Map(entries), close: async () => {} };
}

export const NO_WEIGHTS: Weights = memoryWeights([], "no weights");
