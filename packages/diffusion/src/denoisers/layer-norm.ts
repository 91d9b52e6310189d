/** Layer normalization over the features of tokens, with and without learned weights. */
import { add, mul, ONES, type Scope, standardize, type Value } from "@dcae/core/graph";

/** x [B, N, D] with `weight` and `bias` [D] of `scope`. */
export function layerNorm(scope: Scope, x: Value, eps: number): Value {
  const width = x.shape.at(-1) as number;
  const scaled = mul(standardize(x, -1, eps), scope.parameter("weight", [width], { init: ONES }));
  return add(scaled, scope.parameter("bias", [width]));
}

/** LN(x) * (1 + scale) + shift with scale and shift [B, D] given per sample (adaLN, DiT). */
export function modulate(x: Value, shift: Value, scale: Value, eps: number): Value {
  return add(mul(standardize(x, -1, eps), add(scale, 1)), shift);
}
