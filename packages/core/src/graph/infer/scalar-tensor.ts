/** Plain numbers as tensors of a dtype, which must have them: 0.5 is no int32, 70,000 no float16. */
import { allocate, type DType, dtypeKind, isBigIntDType, type StorageOf } from "../dtype.js";
import { decodeFloats, encodeFloats, isNarrowFloat } from "../float-formats.js";
import { Tensor } from "../tensor.js";
import type { Value } from "../value.js";
import { shapeError } from "./rule.js";

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
