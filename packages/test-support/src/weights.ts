/** Weights from tensors in memory. */
import type { Weights } from "@dcae/core/checkpoint";
import { createRandom, type ParameterSpec, sizeOf, Tensor } from "@dcae/core/graph";

export function memoryWeights(tensors: Iterable<readonly [string, Tensor]>, source = "memory"): Weights {
  const entries = [...tensors].map(
    ([name, tensor]) => [name, { name, dtype: tensor.dtype, shape: tensor.shape, read: async () => tensor }] as const,
  );
  return { source, entries: new Map(entries), close: async () => {} };
}

export const NO_WEIGHTS: Weights = memoryWeights([], "no weights");

/** Weights that are nowhere 0, as of a trained model: a fresh DiT predicts zeros. Its sines and cosines stay. */
export function noisyWeights(specs: readonly ParameterSpec[]): Weights {
  const noise = ({ name, shape, init }: ParameterSpec): Tensor => {
    if (init.kind === "computed") return Tensor.float32(init.values(), shape);
    const mean = shape.length === 1 ? 0.5 : 0;
    return Tensor.float32(createRandom(7, name).normal(new Float32Array(sizeOf(shape)), mean, 0.2), shape);
  };
  return memoryWeights(
    specs.map((spec) => [spec.name, noise(spec)]),
    "noisy weights",
  );
}
