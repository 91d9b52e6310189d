/** exp(x) - 1 without cancellation near 0: 2 t / (1 - t) with t = tanh(x / 2). Bias corrections of a first step need it. */
import { div, mul, sub, tanh, type Value } from "@dcae/core/graph";

/** For x <= 0 (larger arguments overflow earlier than exp). */
export function expm1(x: Value): Value {
  const t = tanh(mul(x, 0.5));
  return div(mul(t, 2), sub(1, t));
}
