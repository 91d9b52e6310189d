/** Runs graph functions on an engine: one call, one program. */
import type { Weights } from "../../src/checkpoint/weights.js";
import { input } from "../../src/graph/ops/elementwise.js";
import { createProgram } from "../../src/graph/program.js";
import { createScope, type Scope } from "../../src/graph/scope.js";
import type { Tensor } from "../../src/graph/tensor.js";
import type { Value } from "../../src/graph/value.js";
import type { Engine } from "../../src/runtime/engine.js";

export const NO_WEIGHTS: Weights = { source: "no weights", entries: new Map(), close: async () => {} };

/** Output `y` and the recorded updates (as `after.<name>`) of `forward` at the given inputs. */
export async function runGraph(
  engine: Engine,
  inputs: readonly Tensor[],
  forward: (scope: Scope, ...values: Value[]) => Value,
  options: { readonly weights?: Weights; readonly training?: boolean } = {},
): Promise<{ readonly y: Tensor; readonly updates: Record<string, Tensor> }> {
  const scope = createScope({ training: options.training ?? false });
  const values = inputs.map((tensor, i) => input(`x${i}`, tensor.shape, tensor.dtype));
  const y = forward(scope, ...values);
  // Updates are read as plain outputs here: the test looks at their values.
  const named = [...scope.updates].map(([name, value]) => [`after.${name}`, value] as const);
  const program = createProgram("test", { y, ...Object.fromEntries(named) });
  const loaded = await engine.load(program, options.weights ?? NO_WEIGHTS);
  const { y: result, ...updates } = await loaded.run(Object.fromEntries(inputs.map((tensor, i) => [`x${i}`, tensor])));
  await loaded.dispose();
  return { y: result as Tensor, updates };
}
