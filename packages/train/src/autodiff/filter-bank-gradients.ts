/**
 * Gradients of a filter bank, tap by tap: tap i of all filters meets every stride-th element of the padded axis from i on.
 */
import {
  add,
  concat,
  matmul,
  pad,
  reshape,
  sizeOf,
  slice,
  staticShape,
  transpose,
  type Value,
  type ValueOf,
} from "@dcae/core/graph";
import { unslice } from "./scatter.js";

interface Taps {
  readonly count: number;
  /** Positions along the axis of the output. */
  readonly positions: number;
  /** Size of the padded axis. */
  readonly padded: number;
}

function tapsOf({ inputs: [x, filters], attributes: { axis, before, after }, shape }: ValueOf<"filterBank">): Taps {
  return {
    count: filters.shape[1] as number,
    positions: shape[axis + 1] as number,
    padded: (x.shape[axis] as number) + before + after,
  };
}

/** d loss / d x: what each tap contributes, put back where the tap read, and added up. */
export function filterBankInputGradient(y: ValueOf<"filterBank">, dy: Value): Value {
  const [x, filters] = y.inputs;
  const { axis, stride, before } = y.attributes;
  const { count, padded } = tapsOf(y);
  const [filterCount, ...window] = staticShape(dy.shape, "the gradient of filterBank") as [number, ...number[]];
  const perTap = matmul(transpose(filters), reshape(dy, [filterCount, sizeOf(window)]));
  const parts = Array.from({ length: count }, (_, tap) => {
    const part = reshape(slice(perTap, 0, tap, tap + 1), window);
    return unslice(part, [{ axis, start: tap, step: stride, size: padded }]);
  });
  return slice(parts.reduce(add), axis, before, before + (x.shape[axis] as number));
}

/** d loss / d filters [n, k]: a product of dy with what the taps read. */
export function filterBankFilterGradient(y: ValueOf<"filterBank">, dy: Value): Value {
  const [x] = y.inputs;
  const { axis, stride, before, after } = y.attributes;
  const { count, positions } = tapsOf(y);
  const [filterCount, ...window] = staticShape(dy.shape, "the gradient of filterBank") as [number, ...number[]];
  const padded = pad(x, { [axis]: [before, after] });
  const read = Array.from({ length: count }, (_, tap) =>
    reshape(slice(padded, axis, tap, tap + (positions - 1) * stride + 1, stride), [1, sizeOf(window)]),
  );
  return matmul(reshape(dy, [filterCount, sizeOf(window)]), transpose(concat(read, 0)));
}
