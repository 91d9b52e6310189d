/** Graph to graph: rebuilds a program with some of its values replaced. */
import { build } from "../build.js";
import { createProgram, type Program } from "../program.js";
import { topologicalOrder } from "../traverse.js";
import type { OpName, Value } from "../value.js";

/**
 * Called for each value, inputs before users, with the inputs already rewritten; gives the value that takes its place.
 * `keep()` is the same op on the rewritten inputs.
 */
export type Rewrite = (value: Value, inputs: readonly Value[], keep: () => Value) => Value;

/** The program after `rewrite` was applied to every value. */
export function rewriteProgram(program: Program, rewrite: Rewrite): Program {
  const outputs = [...program.outputs.values(), ...program.updates.values()];
  const rewritten = new Map<Value, Value>();
  for (const value of topologicalOrder(outputs)) {
    const inputs = value.inputs.map((input) => rewritten.get(input) as Value);
    const unchanged = inputs.every((input, i) => input === value.inputs[i]);
    const keep = () => (unchanged ? value : build<OpName>(value.op, inputs as never, value.attributes as never));
    rewritten.set(value, rewrite(value, inputs, keep));
  }
  const mapped = (values: ReadonlyMap<string, Value>) =>
    Object.fromEntries([...values].map(([name, value]) => [name, rewritten.get(value) as Value]));
  return createProgram(program.name, mapped(program.outputs), mapped(program.updates));
}
