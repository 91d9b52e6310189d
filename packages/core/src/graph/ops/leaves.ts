/** Where graphs start: inputs, parameters, constants. */
import { build } from "../build.js";
import type { Dim } from "../dim.js";
import type { DType } from "../dtype.js";
import { scalarTensor } from "../infer/scalar-tensor.js";
import type { ParameterSpec } from "../parameter.js";
import type { Tensor } from "../tensor.js";
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

/**
 * A scalar constant; ops make these from plain numbers themselves.
 *
 * @throws ShapeError when the dtype has no such number
 */
export function scalar(value: number, dtype: DType = "float32"): Value {
  return constant(scalarTensor("scalar", [], value, dtype));
}

/** `value` as a constant beside `x`, for the op `op`. @throws ShapeError when the dtype of x has no such number */
export function scalarFor(op: string, x: Value, value: number): Value {
  return constant(scalarTensor(op, [x], value, x.dtype));
}
