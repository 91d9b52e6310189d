/** Gradients of ops that move elements: the adjoint moves them back, and adds up what was copied. */
import {
  add,
  cast,
  constant,
  type Dim,
  equal,
  matmul,
  type OpName,
  pixelShuffle,
  pixelUnshuffle,
  reduceSum,
  reshape,
  sizeOf,
  slice,
  split,
  staticShape,
  Tensor,
  transpose,
  type Value,
} from "@dcae/core/graph";
import { reverse, sumToShape, unslice } from "../adjoints.js";
import type { GradientRule } from "../gradient-rule.js";

/** Cuts [start, start + size) of each axis. */
function crop(x: Value, starts: readonly number[], sizes: readonly Dim[]): Value {
  return starts.reduce((y, start, axis) => slice(y, axis, start, start + (sizes[axis] as number)), x);
}

/** Folds what was reflected or repeated at both ends of one axis back into the inside. */
function foldPadding(dy: Value, axis: number, before: number, after: number, mode: "reflect" | "edge"): Value {
  const size = (dy.shape[axis] as number) - before - after;
  const place = (values: Value, start: number) => unslice(values, [{ axis, start, step: 1, size }]);
  const fold = (values: Value) =>
    mode === "reflect" ? reverse(values, axis) : reduceSum(values, axis, { keepDims: true });
  let inside = slice(dy, axis, before, before + size);
  if (before > 0) inside = add(inside, place(fold(slice(dy, axis, 0, before)), mode === "reflect" ? 1 : 0));
  if (after > 0) {
    const folded = fold(slice(dy, axis, before + size));
    inside = add(inside, place(folded, mode === "reflect" ? size - 1 - after : size - 1));
  }
  return inside;
}

/** Adds rows of dy that were taken from the same place: a product with the one-hot matrix of the indices. */
function scatterAdd(data: Value, indices: Value, axis: number, dy: Value): Value {
  const size = data.shape[axis] as number;
  const shape = staticShape(data.shape, "the gradient of gather");
  const count = sizeOf(staticShape(indices.shape, "the gradient of gather"));
  const [left, right] = [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis + 1))];
  const positions = BigInt64Array.from({ length: size }, (_, i) => BigInt(i));
  const all = constant(new Tensor("int64", positions, [size, 1]));
  // Negative indices count from the end, as they do in gather.
  const flat = reshape(cast(indices, "int64"), [1, count]);
  const hit = (values: Value) => cast(equal(all, values), dy.dtype);
  const oneHot = add(hit(flat), hit(add(flat, size)));
  const rows = reshape(dy, [left, count, right]);
  return reshape(matmul(oneHot, rows), data.shape);
}

/**
 * A transposed product is the product of the transposed factors, whose transposes runtimes do while they multiply; likewise for
 * every matrix of a batch, where no factor was broadcast.
 */
function transposeBack(dy: Value, permutation: readonly number[]): Value {
  const rank = dy.shape.length;
  const flips = permutation.every((axis, i) => axis === (i < rank - 2 ? i : 2 * rank - 3 - i));
  if (dy.op !== "matmul" || !flips) return transpose(dy, permutation);
  const [a, b] = dy.inputs;
  if (a.shape.length !== rank || b.shape.length !== rank) return transpose(dy, permutation);
  const flip = (x: Value) =>
    x.op === "transpose" && x.attributes.permutation.join() === permutation.join() ? x.inputs[0] : transpose(x);
  return matmul(flip(b), flip(a));
}

export const layoutGradients = {
  reshape: (y, dy) => [() => reshape(dy, y.inputs[0].shape)],
  transpose: (y, dy) => {
    const inverse: number[] = [];
    y.attributes.permutation.forEach((axis, i) => {
      inverse[axis] = i;
    });
    return [() => transposeBack(dy, inverse)];
  },
  expand: (y, dy) => [() => sumToShape(dy, y.inputs[0].shape)],
  slice: (y, dy) => {
    const { axes, starts, steps } = y.attributes;
    const [x] = y.inputs;
    const ranges = axes.map((axis, i) => ({
      axis,
      start: starts[i] as number,
      step: steps[i] as number,
      size: x.shape[axis] as number,
    }));
    return [() => unslice(dy, ranges)];
  },
  pad: (y, dy) => {
    const { before, after, mode } = y.attributes;
    const [x] = y.inputs;
    if (mode === "constant") return [() => crop(dy, before, x.shape)];
    return [
      () =>
        before.reduce((folded, low, axis) => {
          const high = after[axis] as number;
          return low + high === 0 ? folded : foldPadding(folded, axis, low, high, mode);
        }, dy),
    ];
  },
  concat: (y, dy) => {
    const { axis } = y.attributes;
    const sizes = y.inputs.map((input) => input.shape[axis] as number);
    return y.inputs.map((_, i) => () => split(dy, axis, sizes)[i] as Value);
  },
  gather: (y, dy) => {
    const [data, indices] = y.inputs;
    return [() => scatterAdd(data, indices, y.attributes.axis, dy), null];
  },
  pixelShuffle: (y, dy) => [() => pixelUnshuffle(dy, y.attributes.factor)],
  pixelUnshuffle: (y, dy) => [() => pixelShuffle(dy, y.attributes.factor)],
  upsampleNearest2d: (y, dy) => [
    () => {
      const [n, c, h, w] = y.inputs[0].shape as readonly [Dim, Dim, Dim, Dim];
      const { factor } = y.attributes;
      return reduceSum(reshape(dy, [n, c, h, factor, w, factor]), [3, 5]);
    },
  ],
} satisfies { [K in OpName]?: GradientRule<K> };
