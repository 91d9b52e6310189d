/** Gradients of matrix products, convolutions and pooling. */
import {
  conv2d,
  type Dim,
  matmul,
  type OpName,
  reduceSum,
  reshape,
  shapeSize,
  staticShape,
  transpose,
  type Value,
} from "@dcae/core/graph";
import { convolutionInputGradient, convolutionWeightGradient } from "../convolution-gradients.js";
import { filterBankFilterGradient, filterBankInputGradient } from "../filter-bank-gradients.js";
import type { GradientRule } from "../gradient-rule.js";
import { averagePoolGradient, maxPoolGradient } from "../pooling-gradients.js";
import { sumToShape } from "../sum-to-shape.js";

type Shape4 = readonly [number, number, number, number];

/** a^T dy. One product for the whole batch where b is a plain matrix (a linear layer's weight). */
function matmulRight(a: Value, b: Value, dy: Value): Value {
  if (b.shape.length > 2 || a.shape.length === 2) return sumToShape(matmul(transpose(a), dy), b.shape);
  const rows = shapeSize(a.shape.slice(0, -1));
  const flat = (x: Value) => reshape(x, [rows, x.shape.at(-1) as Dim]);
  return matmul(transpose(flat(a)), flat(dy));
}

export const spatialGradients = {
  matmul: (y, dy) => {
    const [a, b] = y.inputs;
    return [() => sumToShape(matmul(dy, transpose(b)), a.shape), () => matmulRight(a, b, dy)];
  },
  conv2d: (y, dy, forms) => {
    const [x, weight] = y.inputs;
    const sizes = staticShape(x.shape, "the gradient of conv2d") as Shape4;
    return [
      () => convolutionInputGradient(dy, weight, sizes, y.attributes, forms),
      () => convolutionWeightGradient(x, dy, weight.shape as Shape4, y.attributes, forms),
      () => reduceSum(dy, [0, 2, 3]),
    ];
  },
  // The adjoint of an adjoint: dy and x change places.
  convTranspose2d: (y, dy, forms) => {
    const [x, weight] = y.inputs;
    const { stride, padding, dilation, groups } = y.attributes;
    return [
      () => conv2d(dy, weight, { stride, padding, dilation, groups }),
      () => convolutionWeightGradient(dy, x, weight.shape as Shape4, y.attributes, forms),
    ];
  },
  filterBank: (y, dy) => [() => filterBankInputGradient(y, dy), () => filterBankFilterGradient(y, dy)],
  maxPool2d: (y, dy) => [() => maxPoolGradient(y, dy)],
  averagePool2d: (y, dy) => [() => averagePoolGradient(y, dy)],
} satisfies { [K in OpName]?: GradientRule<K> };
