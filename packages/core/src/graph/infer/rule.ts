/** The type of shape rules, the error they raise, and the checks that several of them need. */
import { ShapeError } from "../../errors.js";
import { type Dim, shapeToString } from "../dim.js";
import {
  allocate,
  type DType,
  decodeFloats,
  dtypeKind,
  encodeFloats,
  isBigIntDType,
  isNarrowFloat,
  type StorageOf,
} from "../dtype.js";
import { Tensor } from "../tensor.js";
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

/** `axis` of `x` counted from the front; negative ones count from the end. */
export function resolveAxis(op: string, x: Value, axis: number, rank = x.shape.length): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (Number.isInteger(resolved) && resolved >= 0 && resolved < rank) return resolved;
  throw shapeError(op, [x], `there is no axis ${axis}`);
}

/** Refuses dimensions that aren't sizes: fractions, negative numbers. */
export function checkDims(op: string, inputs: readonly Value[], shape: readonly Dim[]): void {
  const isSize = (dim: Dim) => typeof dim !== "number" || (Number.isSafeInteger(dim) && dim >= 0);
  if (!shape.every(isSize)) throw shapeError(op, inputs, `${shapeToString(shape)} isn't a shape`);
}

/** Refuses numbers that aren't integers of at least `least`. */
export function checkIntegers(
  op: string,
  inputs: readonly Value[],
  named: Readonly<Record<string, number | readonly number[]>>,
  least: number,
): void {
  for (const [name, value] of Object.entries(named)) {
    for (const number of typeof value === "number" ? [value] : value) {
      if (Number.isSafeInteger(number) && number >= least) continue;
      throw shapeError(op, inputs, `${name} ${number} isn't an integer of at least ${least}`);
    }
  }
}

/** An error that names the op, the inputs' shapes and the parameter closest to the place. */
export function shapeError(op: string, inputs: readonly Value[], problem: string, hint?: string): ShapeError {
  const shapes = inputs.map((input) => `${shapeToString(input.shape)} ${input.dtype}`).join(", ");
  const path = pathOf(inputs);
  const place = path === "" ? "" : ` (at parameter "${path}")`;
  return new ShapeError(`${op}(${shapes}): ${problem}${place}`, hint === undefined ? {} : { hint });
}

function storageOf<D extends DType>(value: number, dtype: D): StorageOf<D> {
  if (isNarrowFloat(dtype)) return encodeFloats(dtype, [value]) as StorageOf<D>;
  const storage = allocate(dtype, 1);
  storage[0] = (isBigIntDType(dtype) ? BigInt(value) : value) as never;
  return storage;
}

/** Whether `value` is one of the dtype's numbers; floats may be rounded, but stay finite. */
function isNumberOf(value: number, dtype: DType): boolean {
  const kind = dtypeKind(dtype);
  if (kind === "bool") return value === 0 || value === 1;
  if (kind === "int") return Number.isInteger(value) && Number(storageOf(value, dtype)[0]) === value;
  if (!Number.isFinite(value)) return true;
  const storage = storageOf(value, dtype);
  return Number.isFinite(isNarrowFloat(dtype) ? decodeFloats(dtype, storage as Uint16Array)[0] : Number(storage[0]));
}

/**
 * `value` as a tensor [] for the op `op`.
 *
 * @throws ShapeError naming the op and its inputs when the dtype has no such number
 */
export function scalarTensor(op: string, inputs: readonly Value[], value: number, dtype: DType): Tensor {
  if (isNumberOf(value, dtype)) return new Tensor(dtype, storageOf(value, dtype), []);
  throw shapeError(
    op,
    inputs,
    `${value} is no ${dtype}`,
    'Cast the values to a dtype that has it first: cast(x, "float32").',
  );
}
