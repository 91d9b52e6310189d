/** One run on an engine: of a program, of values, of a graph function. */
import type { Weights } from "@dcae/core/checkpoint";
import {
  createProgram,
  createScope,
  input,
  type Program,
  type RootScope,
  type Tensor,
  type Value,
} from "@dcae/core/graph";
import type { Engine } from "@dcae/core/runtime";
import { NO_WEIGHTS } from "./weights.js";

/** Inputs that the program doesn't read are left out: a gradient doesn't read every input of its function. */
export async function runProgram(
  engine: Engine,
  program: Program,
  inputs: Readonly<Record<string, Tensor>> = {},
  weights: Weights = NO_WEIGHTS,
): Promise<Record<string, Tensor>> {
  const loaded = await engine.load(program, weights);
  try {
    return await loaded.run(Object.fromEntries(Object.entries(inputs).filter(([name]) => program.inputs.has(name))));
  } finally {
    await loaded.dispose();
  }
}

export function runValues(
  engine: Engine,
  values: Readonly<Record<string, Value>>,
  inputs: Readonly<Record<string, Tensor>> = {},
  weights: Weights = NO_WEIGHTS,
): Promise<Record<string, Tensor>> {
  return runProgram(engine, createProgram("test", values), inputs, weights);
}

/** All outputs that `forward` gives for the named inputs. */
export function runGraph<K extends string>(
  engine: Engine,
  inputs: Readonly<Record<K, Tensor>>,
  forward: (scope: RootScope, values: Readonly<Record<K, Value>>) => Readonly<Record<string, Value>>,
  weights: Weights = NO_WEIGHTS,
  options: { readonly training?: boolean } = {},
): Promise<Record<string, Tensor>> {
  const tensors = Object.entries<Tensor>(inputs);
  const values = Object.fromEntries(tensors.map(([name, { shape, dtype }]) => [name, input(name, shape, dtype)]));
  return runValues(engine, forward(createScope(options), values as Record<K, Value>), inputs, weights);
}
