/** What rewrites ask about a graph: what is the same at every run, and who uses a value. */
import type { Program } from "../program.js";
import { topologicalOrder } from "../traverse.js";
import type { Value } from "../value.js";

export interface GraphFacts {
  /** Depends on parameters and constants alone. */
  isConstant(value: Value): boolean;
  /** How many values of the graph, and outputs of the program, take this one. */
  uses(value: Value): number;
}

export function graphFacts(program: Program): GraphFacts {
  const outputs = [...program.outputs.values(), ...program.updates.values()];
  const varying = new Set<Value>();
  const uses = new Map<Value, number>();
  const use = (value: Value) => uses.set(value, (uses.get(value) ?? 0) + 1);
  for (const value of topologicalOrder(outputs)) {
    if (value.op === "input" || value.inputs.some((input) => varying.has(input))) varying.add(value);
    value.inputs.forEach(use);
  }
  outputs.forEach(use);
  return { isConstant: (value) => !varying.has(value), uses: (value) => uses.get(value) ?? 0 };
}
