/** Where graphs start: inputs, parameters, constants. */
import { build } from "../build.js";
import type { Dim } from "../dim.js";
import { allocate, type DType, isBigIntDType, type StorageOf } from "../dtype.js";
import { encodeFloats, isNarrowFloat } from "../float-formats.js";
import type { ParameterSpec } from "../parameter.js";
import { Tensor } from "../tensor.js";
import type { Value } from "../value.js";

/** Data given at each run under `name`. */
export function input(name: string, shape: readonly Dim[], dtype: DType = "float32"): Value {
  return build("input", [], { name, shape, dtype });
}

/** A named weight. Blocks get theirs from a `Scope`, which makes each name once. */
export function parameter(spec: ParameterSpec): Value {
  return build("parameter", [], spec);
}

export function constant(tensor: Tensor): Value {
  return build("constant", [], { tensor });
}

/** A scalar constant; ops make these from plain numbers themselves. */
export function scalar(value: number, dtype: DType = "float32"): Value {
  return constant(new Tensor(dtype, scalarStorage(value, dtype), []));
}

function scalarStorage<D extends DType>(value: number, dtype: D): StorageOf<D> {
  if (isNarrowFloat(dtype)) return encodeFloats(dtype, [value]) as StorageOf<D>;
  const storage = allocate(dtype, 1);
  storage[0] = (isBigIntDType(dtype) ? BigInt(value) : value) as never;
  return storage;
}
