/** Runs graph functions on an engine: one call, one program. */
import type { Weights } from "@dcae/core/checkpoint";
import { createProgram, createScope, input, type Scope, type Tensor, type Value } from "@dcae/core/graph";
import type { Engine } from "@dcae/core/runtime";

export const NO_WEIGHTS: Weights = { source: "no weights", entries: new Map(), close: async () => {} };

/** All outputs that `forward` gives for the named inputs. */
export async function runGraph<K extends string>(
  engine: Engine,
  inputs: Readonly<Record<K, Tensor>>,
  forward: (scope: Scope, values: Readonly<Record<K, Value>>) => Readonly<Record<string, Value>>,
  weights: Weights = NO_WEIGHTS,
  options: { readonly training?: boolean } = {},
): Promise<Record<string, Tensor>> {
  const scope = createScope(options);
  const tensors = Object.entries(inputs) as [K, Tensor][];
  const values = Object.fromEntries(tensors.map(([name, { shape, dtype }]) => [name, input(name, shape, dtype)]));
  const outputs = forward(scope, values as Record<K, Value>);
  // An input that the function ignores must not be fed.
  const program = createProgram("test", outputs);
  const loaded = await engine.load(program, weights);
  const result = await loaded.run(Object.fromEntries(tensors.filter(([name]) => program.inputs.has(name))));
  await loaded.dispose();
  return result;
}
