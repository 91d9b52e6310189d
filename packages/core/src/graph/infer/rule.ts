/** The type of shape rules and the error they raise. */
import { ShapeError } from "../../errors.js";
import { type Dim, shapeToString } from "../dim.js";
import type { DType } from "../dtype.js";
import type { OpAttributes, OpInputs, OpName, Value } from "../value.js";

/** Shape and dtype of a value that doesn't exist yet. */
export interface Inferred {
  readonly shape: readonly Dim[];
  readonly dtype: DType;
}

/** Checks the inputs of op `K` and gives the shape and dtype of its output. */
export type InferRule<K extends OpName> = (inputs: OpInputs<K>, attributes: OpAttributes<K>) => Inferred;

/** Name of the parameter that entered last on the way to these inputs. */
export function pathOf(inputs: readonly Value[]): string {
  let path = "";
  for (const input of inputs) if (input.path !== "") path = input.path;
  return path;
}

/** An error that names the op, the inputs' shapes and the parameter closest to the place. */
export function shapeError(op: string, inputs: readonly Value[], problem: string): ShapeError {
  const shapes = inputs.map((input) => `${shapeToString(input.shape)} ${input.dtype}`).join(", ");
  const path = pathOf(inputs);
  return new ShapeError(`${op}(${shapes}): ${problem}${path === "" ? "" : ` (at parameter "${path}")`}`);
}
