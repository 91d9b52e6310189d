/**
 * Layer normalization over the features of tokens, with and without learned weights.
 *
 * ONNX Runtime computes the whole of it as one kernel if it recognizes it: the square must be a power, and a scale and a shift
 * must follow. So an inference graph is written that way, with 1 and 0 where there are no weights; a training graph, whose
 * intermediate values are needed for the gradients, is written with fewer operations.
 */
import {
  add,
  constant,
  div,
  mul,
  ONES,
  pow,
  reduceMean,
  type Scope,
  sqrt,
  standardize,
  sub,
  Tensor,
  type Value,
} from "@dcae/core/graph";

/** (x - mean) / sqrt(variance + eps) over the last axis of x [B, N, D]. */
export function normalizeTokens(scope: Scope, x: Value, eps: number): Value {
  if (scope.training) return standardize(x, -1, eps);
  const width = x.shape.at(-1) as number;
  const scaled = mul(recognizable(x, eps), constant(Tensor.full([width], 1)));
  return add(scaled, constant(Tensor.full([width], 0)));
}

/** The same with `weight` and `bias` [D] of `scope`. */
export function layerNorm(scope: Scope, x: Value, eps: number): Value {
  const width = x.shape.at(-1) as number;
  const normalized = scope.training ? standardize(x, -1, eps) : recognizable(x, eps);
  const scaled = mul(normalized, scope.parameter("weight", [width], { init: ONES }));
  return add(scaled, scope.parameter("bias", [width]));
}

/** LN(x) * (1 + scale) + shift with scale and shift [B, 1, D] given per sample (adaLN, DiT). */
export function modulate(scope: Scope, x: Value, shift: Value, scale: Value, eps: number): Value {
  return add(mul(normalizeTokens(scope, x, eps), add(scale, 1)), shift);
}

function recognizable(x: Value, eps: number): Value {
  const centered = sub(x, reduceMean(x, -1, { keepDims: true }));
  return div(centered, sqrt(add(reduceMean(pow(centered, 2), -1, { keepDims: true }), eps)));
}
