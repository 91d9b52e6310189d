/** Evaluates graph values on an engine: one call, one program. */
import type { Weights } from "@dcae/core/checkpoint";
import { createProgram, type Tensor, type Value } from "@dcae/core/graph";
import type { Engine } from "@dcae/core/runtime";
import { NO_WEIGHTS } from "./weights.js";

export async function runValues(
  engine: Engine,
  values: Readonly<Record<string, Value>>,
  inputs: Readonly<Record<string, Tensor>> = {},
  weights: Weights = NO_WEIGHTS,
): Promise<Record<string, Tensor>> {
  const program = createProgram("test", values);
  const loaded = await engine.load(program, weights);
  // Gradients don't read every input of the function (a sum doesn't read what it adds up).
  const used = Object.fromEntries(Object.entries(inputs).filter(([name]) => program.inputs.has(name)));
  try {
    return await loaded.run(used);
  } finally {
    await loaded.dispose();
  }
}
