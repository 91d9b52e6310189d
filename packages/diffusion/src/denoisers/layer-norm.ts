/** Layer normalization over the features of tokens, with and without learned weights. */
import { add, layerNorm, mul, ONES, type Scope, type Value } from "@dcae/core/graph";

/** (x - mean) / sqrt(variance + eps) over the last axis of x [B, N, D]. */
export function normalizeTokens(x: Value, eps: number): Value {
  return layerNorm(x, { axis: -1, eps });
}

/** The same with `weight` and `bias` [D] of `scope`. */
export function tokenNorm(scope: Scope, x: Value, eps: number): Value {
  const width = x.shape.at(-1) as number;
  const weight = scope.parameter("weight", [width], { init: ONES });
  return layerNorm(x, { axis: -1, eps, weight, bias: scope.parameter("bias", [width]) });
}

/** LN(x) * (1 + scale) + shift with scale and shift [B, 1, D] given per sample (adaLN, DiT). */
export function modulate(x: Value, shift: Value, scale: Value, eps: number): Value {
  return add(mul(normalizeTokens(x, eps), add(scale, 1)), shift);
}
