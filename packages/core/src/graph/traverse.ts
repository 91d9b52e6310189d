/** Walking graphs. Iterative, since graphs of training steps are thousands of values deep. */
import { ShapeError } from "../errors.js";
import type { ParameterSpec } from "./parameter.js";
import type { Value, ValueOf } from "./value.js";

/**
 * All values that `outputs` depend on, inputs before their users, each once.
 *
 * @param skip values that are left out, with what only they depend on
 * @param operandsOf what a value depends on, its inputs unless said otherwise
 */
export function topologicalOrder(
  outputs: readonly Value[],
  skip: (value: Value) => boolean = () => false,
  operandsOf: (value: Value) => readonly Value[] = ({ inputs }) => inputs,
): Value[] {
  const order: Value[] = [];
  const done = new Set<Value>();
  const stack: { readonly value: Value; readonly operands: readonly Value[]; next: number }[] = [];
  const enter = (value: Value) => {
    if (!done.has(value) && !skip(value)) stack.push({ value, operands: operandsOf(value), next: 0 });
  };
  for (const output of outputs) {
    enter(output);
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      const child = frame.operands[frame.next++];
      if (child === undefined) {
        if (!done.has(frame.value)) {
          done.add(frame.value);
          order.push(frame.value);
        }
        stack.pop();
      } else enter(child);
    }
  }
  return order;
}

/** What of `order` (inputs before users) is a source or depends on one. */
export function dependents(order: readonly Value[], isSource: (value: Value) => boolean): Set<Value> {
  const found = new Set<Value>();
  for (const value of order) {
    if (isSource(value) || value.inputs.some((operand) => found.has(operand))) found.add(value);
  }
  return found;
}

/** The parameters that `outputs` depend on, by name. */
export function parametersOf(outputs: readonly Value[]): Map<string, ParameterSpec> {
  return new Map([...leavesOf(outputs, "parameter")].map(([name, leaf]) => [name, leaf.attributes]));
}

/** The runtime inputs that `outputs` depend on, by name. */
export function inputsOf(outputs: readonly Value[]): Map<string, ValueOf<"input">> {
  return leavesOf(outputs, "input");
}

function leavesOf<K extends "input" | "parameter">(outputs: readonly Value[], op: K): Map<string, ValueOf<K>> {
  const leaves = new Map<string, ValueOf<K>>();
  for (const value of topologicalOrder(outputs)) {
    if (value.op !== op) continue;
    const leaf = value as unknown as ValueOf<K>;
    const { name } = leaf.attributes;
    if (leaves.has(name)) throw new ShapeError(`two ${op}s of one graph are named "${name}"`);
    leaves.set(name, leaf);
  }
  return leaves;
}
