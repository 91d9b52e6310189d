/** Graph to graph: the one place that makes a graph again with some of its values replaced. */

import { topologicalOrder } from "./analyze.js";
import { rebuild } from "./composites/composite.js";
import { createProgram, type Program } from "./program.js";
import type { Value, ValueOf } from "./value.js";

/**
 * Called for each value, inputs before users, with the inputs already replaced; gives the value that takes its place.
 *
 * @param keep the same op on the new inputs
 * @param inline for a composite: what takes the place of its body, to whose values the rewrite is applied like to others
 */
export type Rewrite = (value: Value, inputs: readonly Value[], keep: () => Value, inline: () => Value) => Value;

/**
 * A function that gives what takes the place of values, and remembers it: values that several others use are made once.
 *
 * @param replace what is known beforehand; the graph isn't followed behind it
 */
export function graphMapper(
  rewrite: Rewrite,
  replace: (value: Value) => Value | undefined = () => undefined,
): (value: Value) => Value {
  const made = new Map<Value, Value>();
  function isKnown(value: Value): boolean {
    if (made.has(value)) return true;
    const known = replace(value);
    if (known !== undefined) made.set(value, known);
    return known !== undefined;
  }
  function map(target: Value): Value {
    for (const value of topologicalOrder([target], isKnown)) {
      // The body of a composite may have led here already.
      if (made.has(value)) continue;
      const inputs = value.inputs.map((input) => made.get(input) as Value);
      const unchanged = inputs.every((input, i) => input === value.inputs[i]);
      const keep = () => (unchanged ? value : rebuild(value, inputs));
      const inline = () => (value.op === "composite" ? map(value.attributes.body.result) : keep());
      made.set(value, rewrite(value, inputs, keep, inline));
    }
    return made.get(target) as Value;
  }
  return map;
}

/** What takes the place of `values`. */
export function mapGraph(
  values: readonly Value[],
  rewrite: Rewrite,
  replace?: (value: Value) => Value | undefined,
): Value[] {
  return values.map(graphMapper(rewrite, replace));
}

/** The program after `rewrite` was applied to every value. */
export function mapProgram(program: Program, rewrite: Rewrite, replace?: (value: Value) => Value | undefined): Program {
  const map = graphMapper(rewrite, replace);
  const mapped = (values: ReadonlyMap<string, Value>) =>
    Object.fromEntries([...values].map(([name, value]) => [name, map(value)]));
  return createProgram(program.name, mapped(program.outputs), mapped(program.updates));
}

/** Puts the bodies of composites in their places, but for those that `stays` names. */
export function inliner(stays: (value: ValueOf<"composite">) => boolean = () => false): Rewrite {
  return (value, _inputs, keep, inline) => (value.op === "composite" && !stays(value) ? inline() : keep());
}

/** The program in ops alone. */
export function inlineComposites(program: Program, stays?: (value: ValueOf<"composite">) => boolean): Program {
  return mapProgram(program, inliner(stays));
}
