/** Exact GELU, written with the division by which ONNX Runtime recognizes it and computes it as one kernel. */
import { add, div, erf, mul, type Value } from "@dcae/core/graph";

/** x/2 * (1 + erf(x / sqrt(2))). */
export function gelu(x: Value): Value {
  return mul(mul(x, 0.5), add(erf(div(x, Math.SQRT2)), 1));
}
