/**
 * Looks for NaN and infinity in weights. Files are read as they are, because a checkpoint of a run that diverged is
 * still worth looking at; loaders call this to refuse such weights with a clear message.
 */

import { dtypeKind } from "../graph/dtype.js";
import { decodeFloats, isNarrowFloat } from "../graph/float-formats.js";
import type { Tensor } from "../graph/tensor.js";

export interface NonFinite {
  /** How many elements are NaN, +inf or -inf. */
  readonly count: number;
  /** Row-major position of the first one. */
  readonly firstIndex: number;
  /** Its value. */
  readonly firstValue: number;
}

/** Non-finite elements of `tensor`, or undefined when all are finite (as integers and booleans always are). */
export function findNonFinite(tensor: Tensor): NonFinite | undefined {
  if (dtypeKind(tensor.dtype) !== "float") return undefined;
  const values = isNarrowFloat(tensor.dtype)
    ? decodeFloats(tensor.dtype, tensor.data as Uint16Array)
    : (tensor.data as Float32Array | Float64Array);
  let count = 0;
  let firstIndex = -1;
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) continue;
    if (count === 0) firstIndex = i;
    count++;
  }
  return count === 0 ? undefined : { count, firstIndex, firstValue: values[firstIndex] as number };
}
