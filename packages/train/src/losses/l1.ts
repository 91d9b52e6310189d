/** Reconstruction error (training.md section 3). */
import { abs, reduceMean, sub, type Value } from "@dcae/core/graph";

/** Mean of |x - y| over batch, channels and pixels, a scalar. */
export function l1Loss(x: Value, y: Value): Value {
  return reduceMean(abs(sub(x, y)));
}
