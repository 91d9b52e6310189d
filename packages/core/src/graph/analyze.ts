/** What is asked about graphs: in which order, who uses a value, what is the same at every run, how much there is to multiply. */
import { ShapeError } from "../errors.js";
import { staticShape } from "./dim.js";
import { inlineComposites } from "./map-graph.js";
import type { Program } from "./program.js";
import { sizeOf } from "./tensor.js";
import type { ParameterSpec, Value, ValueOf } from "./value.js";

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

/** What `analyze` knows about a program. */
export interface Analysis {
  /** Outputs, then updates. */
  readonly results: readonly Value[];
  /** All values, inputs before users. */
  readonly order: readonly Value[];
  /** Depends on parameters and constants alone. */
  isConstant(value: Value): boolean;
  /** The values that take this one, once for each operand that it is. */
  users(value: Value): readonly Value[];
  /** How many operands of values, and results of the program, this one is. */
  uses(value: Value): number;
}

const known = new WeakMap<Program, Analysis>();

/**
 * Order, users, constants and equal values of a program. Asked again, it answers from memory: programs never change.
 */
export function analyze(program: Program): Analysis {
  const analysis = known.get(program) ?? work(program);
  known.set(program, analysis);
  return analysis;
}

function work(program: Program): Analysis {
  const results = [...program.outputs.values(), ...program.updates.values()];
  const order = topologicalOrder(results);
  const varying = dependents(order, ({ op }) => op === "input");
  const users = new Map<Value, Value[]>();
  for (const value of order) {
    for (const operand of value.inputs) {
      const list = users.get(operand);
      if (list === undefined) users.set(operand, [value]);
      else list.push(value);
    }
  }
  return {
    results,
    order,
    isConstant: (value) => !varying.has(value),
    users: (value) => users.get(value) ?? [],
    uses: (value) => (users.get(value)?.length ?? 0) + results.filter((result) => result === value).length,
  };
}

/**
 * The values of `order` through which alone everything before them reaches what comes after.
 *
 * @param order inputs before users
 * @param counts the values that have to go through; others (weights, constants) may pass by. Default: those of the order
 */
export function cutsOf(order: readonly Value[], counts: ReadonlySet<Value> = new Set(order)): Value[] {
  const lastUse = new Map<Value, number>();
  order.forEach((value, position) => {
    for (const operand of value.inputs) if (counts.has(operand)) lastUse.set(operand, position);
  });
  let reach = -1;
  return order.filter((value, position) => {
    if (!counts.has(value)) return false;
    // Nothing from before is used behind this one.
    const isCut = reach <= position;
    reach = Math.max(reach, lastUse.get(value) ?? -1);
    return isCut;
  });
}

function macsOf(value: Value): number {
  switch (value.op) {
    case "conv2d":
    case "qlinearConv2d": {
      const [, inPerGroup, height, width] = staticShape(value.inputs[1].shape, "countMacs") as readonly number[];
      return sizeOf(staticShape(value.shape, "countMacs")) * sizeOf([inPerGroup, height, width] as number[]);
    }
    case "convTranspose2d": {
      const [, outPerGroup, height, width] = staticShape(value.inputs[1].shape, "countMacs") as readonly number[];
      const input = sizeOf(staticShape(value.inputs[0].shape, "countMacs"));
      return input * sizeOf([outPerGroup, height, width] as number[]);
    }
    case "filterBank":
      return (
        sizeOf(staticShape(value.shape, "countMacs")) * (staticShape(value.inputs[1].shape, "countMacs").at(-1) ?? 1)
      );
    case "matmul":
      return (
        sizeOf(staticShape(value.shape, "countMacs")) * (staticShape(value.inputs[0].shape, "countMacs").at(-1) ?? 1)
      );
    default:
      return 0;
  }
}

/**
 * Multiply-accumulates of one run.
 *
 * @throws ShapeError when the program has symbolic dimensions
 */
export function countMacs(program: Program): number {
  const { outputs: named, updates } = inlineComposites(program);
  const outputs = [...named.values(), ...updates.values()];
  return topologicalOrder(outputs).reduce((sum, value) => sum + macsOf(value), 0);
}
