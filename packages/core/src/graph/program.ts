/**
 * A program: named inputs, named outputs, and updates of named state.
 *
 * An inference program has no updates. A training step updates parameters, moments and averages: each entry of
 * `updates` names a parameter of the graph and the value that replaces it after the run.
 */
import { ShapeError } from "../errors.js";
import { inputsOf, parametersOf } from "./analyze.js";
import { shapeEqual, shapeToString } from "./dim.js";
import type { ParameterSpec, Value, ValueOf } from "./value.js";

/** A graph with named inputs, outputs and updates of named state: what an engine loads. `createProgram` makes one. */
export interface Program {
  /** For messages and profiles, as in "encode". */
  readonly name: string;
  readonly inputs: ReadonlyMap<string, ValueOf<"input">>;
  readonly parameters: ReadonlyMap<string, ParameterSpec>;
  readonly outputs: ReadonlyMap<string, Value>;
  readonly updates: ReadonlyMap<string, Value>;
}

/**
 * Collects what `outputs` and `updates` depend on.
 *
 * @throws ShapeError when two of its inputs, parameters and outputs share a name, or an update doesn't fit its parameter
 * @example
 * ```ts
 * import { createProgram, input, mul, relu } from "@dcae/core/graph";
 *
 * const x = input("x", [1, 3, 8, 8], "float32");
 * const program = createProgram("half", { y: mul(relu(x), 0.5) });
 * console.log([...program.inputs.keys()], [...program.outputs.keys()]); // ["x"] ["y"]
 * ```
 */
export function createProgram(
  name: string,
  outputs: Readonly<Record<string, Value>>,
  updates: Readonly<Record<string, Value>> = {},
): Program {
  const all = [...Object.values(outputs), ...Object.values(updates)];
  const parameters = parametersOf(all);
  for (const [key, value] of Object.entries(updates)) {
    const spec = parameters.get(key);
    if (spec !== undefined && !(shapeEqual(spec.shape, value.shape) && spec.dtype === value.dtype)) {
      throw new ShapeError(
        `update of "${key}": ${shapeToString(value.shape)} ${value.dtype} can't replace ` +
          `[${spec.shape.join(", ")}] ${spec.dtype}`,
      );
    }
  }
  const inputs = inputsOf(all);
  const taken = new Set<string>();
  for (const key of [...inputs.keys(), ...parameters.keys(), ...Object.keys(outputs)]) {
    if (taken.has(key))
      throw new ShapeError(`program "${name}": two of its inputs, parameters and outputs are "${key}"`);
    taken.add(key);
  }
  return {
    name,
    inputs,
    parameters,
    outputs: new Map(Object.entries(outputs)),
    updates: new Map(Object.entries(updates)),
  };
}
