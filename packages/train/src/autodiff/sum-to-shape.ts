/** The adjoint of broadcasting. */
import { type Dim, reduceSum, reshape, shapeEqual, type Value } from "@dcae/core/graph";

/** Sums `x` over the axes along which `shape` was broadcast to it. */
export function sumToShape(x: Value, shape: readonly Dim[]): Value {
  if (shapeEqual(x.shape, shape)) return x;
  const added = x.shape.length - shape.length;
  const axes = [...x.shape.keys()].filter((axis) => axis < added || (shape[axis - added] === 1 && x.shape[axis] !== 1));
  return reshape(axes.length === 0 ? x : reduceSum(x, axes), shape);
}
