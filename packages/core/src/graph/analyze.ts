/** What is asked about programs: in which order, who uses a value, what is the same at every run. Worked out once for each. */
import type { Program } from "./program.js";
import { dependents, topologicalOrder } from "./traverse.js";
import type { Value } from "./value.js";

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
