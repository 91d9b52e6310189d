/**
 * The same functions at other arguments: rebuilds what depends on replaced values and shares the rest.
 *
 * So "forward again with the updated weights" is the forward graph with the weights replaced by their updates, and whatever the
 * update can't have changed (a frozen encoder) isn't computed twice.
 */
import { ConfigError, mapGraph, type Value } from "@dcae/core/graph";

export function substitute(values: readonly Value[], replacements: ReadonlyMap<Value, Value>): Value[] {
  return mapGraph(
    values,
    (_value, _inputs, keep) => keep(),
    (value) => replacements.get(value),
  );
}

/**
 * Updates of two passes over the same state, one after the other: the second reads what the first left.
 *
 * @param parameters the state's values in the graph, by name; must hold every name that `first` updates
 */
export function chainUpdates(
  first: ReadonlyMap<string, Value>,
  second: ReadonlyMap<string, Value>,
  parameters: ReadonlyMap<string, Value>,
): Map<string, Value> {
  const replacements = new Map<Value, Value>();
  for (const [name, value] of first) {
    const parameter = parameters.get(name);
    if (parameter === undefined) throw new ConfigError(`chainUpdates: the graph has no parameter "${name}"`);
    replacements.set(parameter, value);
  }
  const names = [...second.keys()];
  const values = substitute([...second.values()], replacements);
  return new Map([...first, ...names.map((name, i) => [name, values[i] as Value] as const)]);
}
