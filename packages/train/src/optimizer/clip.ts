/** Gradient clipping by the norm over all tensors of one optimizer (training.md section 6). */
import { add, div, minimum, mul, reduceSum, scalar, sqrt, type Value } from "@dcae/core/graph";

/** sqrt of the sum of squares over all tensors, a scalar. */
export function globalNorm(tensors: readonly Value[]): Value {
  const squares = tensors.map((tensor) => reduceSum(mul(tensor, tensor)));
  return squares.length === 0 ? scalar(0) : sqrt(squares.reduce((sum, square) => add(sum, square)));
}

/** min(1, maxNorm / (norm + 1e-6)): what gradients are multiplied by. */
export function clipScale(norm: Value, maxNorm: number): Value {
  return minimum(div(scalar(maxNorm), add(norm, 1e-6)), 1);
}
