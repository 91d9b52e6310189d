/** Walking graphs. Iterative, since graphs of training steps are thousands of values deep. */
import type { ParameterSpec } from "./parameter.js";
import type { Value, ValueOf } from "./value.js";

/** All values that `outputs` depend on, inputs before their users, each once. */
export function topologicalOrder(outputs: readonly Value[]): Value[] {
  const order: Value[] = [];
  const done = new Set<Value>();
  const stack: { readonly value: Value; next: number }[] = [];
  for (const output of outputs) {
    if (done.has(output)) continue;
    stack.push({ value: output, next: 0 });
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      const child = frame.value.inputs[frame.next++];
      if (child === undefined) {
        if (!done.has(frame.value)) {
          done.add(frame.value);
          order.push(frame.value);
        }
        stack.pop();
      } else if (!done.has(child)) {
        stack.push({ value: child, next: 0 });
      }
    }
  }
  return order;
}

/** The parameters that `outputs` depend on, by name. */
export function parametersOf(outputs: readonly Value[]): Map<string, ParameterSpec> {
  const specs = new Map<string, ParameterSpec>();
  for (const value of topologicalOrder(outputs)) {
    if (value.op === "parameter") specs.set(value.attributes.name, value.attributes);
  }
  return specs;
}

/** The runtime inputs that `outputs` depend on, by name. */
export function inputsOf(outputs: readonly Value[]): Map<string, ValueOf<"input">> {
  const inputs = new Map<string, ValueOf<"input">>();
  for (const value of topologicalOrder(outputs)) {
    if (value.op === "input") inputs.set(value.attributes.name, value);
  }
  return inputs;
}
