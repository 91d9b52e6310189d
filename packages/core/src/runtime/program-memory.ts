/**
 * How much memory a program takes while it runs, predicted from its graph.
 *
 * The runtime executes in the order of the graph and frees a value after its last use. Reshapes share their input's memory,
 * elementwise ops write over an operand that nobody needs any more.
 */
import { byteSize } from "../graph/dtype.js";
import type { Program } from "../graph/program.js";
import { sizeOf } from "../graph/tensor.js";
import { topologicalOrder } from "../graph/traverse.js";
import type { OpName, Value } from "../graph/value.js";

const IN_PLACE: ReadonlySet<OpName> = new Set<OpName>([
  "neg",
  "abs",
  "exp",
  "sqrt",
  "tanh",
  "sigmoid",
  "relu",
  "add",
  "sub",
  "mul",
  "div",
  "maximum",
  "minimum",
]);

function bytesOf({ shape, dtype }: Pick<Value, "shape" | "dtype">): number {
  return sizeOf(shape as readonly number[]) * byteSize(dtype);
}

/** Bytes of all weights, in the form in which the program takes them. */
export function weightBytes(program: Program): number {
  return [...program.parameters.values()].reduce((sum, spec) => sum + bytesOf(spec), 0);
}

/** Values that are evaluated once, when the program is loaded, and their bytes where a varying value takes them. */
function constantBytes(order: readonly Value[], varying: ReadonlySet<Value>): number {
  const held = new Set<Value>();
  for (const value of order) {
    if (!varying.has(value)) continue;
    for (const operand of value.inputs) if (!varying.has(operand)) held.add(operand);
  }
  return [...held].reduce((sum, value) => sum + bytesOf(value), 0);
}

export interface ProgramMemory {
  /** Weights and what is computed from them at loading. */
  readonly constants: number;
  /** Most bytes that inputs, intermediate values and outputs take at once. */
  readonly activations: number;
}

/** @param program with static shapes; give it in the form in which it will run (optimized or not) */
export function programMemory(program: Program): ProgramMemory {
  const outputs = [...program.outputs.values()];
  const order = topologicalOrder(outputs);
  const varying = new Set<Value>();
  for (const value of order) {
    if (value.op === "input" || value.inputs.some((operand) => varying.has(operand))) varying.add(value);
  }
  // Values that share memory have one owner; it is free after the last use of any of them.
  const owner = new Map<Value, Value>();
  const ownerOf = (value: Value) => owner.get(value) ?? value;
  const steps = order.filter((value) => varying.has(value));
  const aliases = (value: Value) => value.op === "reshape";
  for (const value of steps) if (aliases(value)) owner.set(value, ownerOf(value.inputs[0] as Value));
  const lastUse = new Map<Value, number>();
  steps.forEach((value, step) => {
    for (const operand of value.inputs) if (varying.has(operand)) lastUse.set(ownerOf(operand), step);
  });
  for (const value of outputs) lastUse.set(ownerOf(value), steps.length);

  let live = 0;
  let peak = 0;
  const size = new Map<Value, number>();
  steps.forEach((value, step) => {
    const freed = [...new Set(value.inputs.filter((operand) => varying.has(operand)).map(ownerOf))].filter(
      (operand) => lastUse.get(operand) === step,
    );
    if (!aliases(value)) {
      const bytes = bytesOf(value);
      const reused = IN_PLACE.has(value.op) ? freed.find((operand) => size.get(operand) === bytes) : undefined;
      size.set(value, bytes);
      live += bytes;
      peak = Math.max(peak, reused === undefined ? live : live - bytes);
    }
    for (const operand of freed) live -= size.get(operand) ?? 0;
  });
  return { constants: constantBytes(order, varying), activations: peak };
}
