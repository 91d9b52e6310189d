/** Random weights for every parameter of a program: a value that went wrong shows. */
import type { WeightEntry, Weights } from "../../src/checkpoint/weights.js";
import { createRandom, type Program, Tensor } from "../../src/graph/index.js";

/** Normal values, scaled down by fan-in; what must be positive (variances, scales) lies in [0.5, 1.5]. */
export function randomWeights(program: Pick<Program, "parameters">, seed: number): Weights {
  const entries = new Map<string, WeightEntry>();
  for (const { name, shape, dtype } of program.parameters.values()) {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    const random = createRandom(seed, name);
    const positive = name.endsWith("running_var") || (shape.length === 1 && name.endsWith("weight"));
    if (positive) random.uniform(data);
    else random.normal(data);
    const scale = shape.length > 1 ? 1 / Math.sqrt(shape.slice(1).reduce((a, b) => a * b, 1)) : 0.3;
    const values = data.map((value) => (positive ? 0.5 + value : value * scale));
    const tensor = Tensor.float32(values, shape).cast(dtype);
    entries.set(name, { name, shape, dtype, read: async () => tensor });
  }
  return { source: "random weights", entries, close: async () => {} };
}
