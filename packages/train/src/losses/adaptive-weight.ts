/**
 * The adaptive weight of the adversarial term (Esser et al. 2021; training.md section 4).
 *
 * How much larger the reconstruction's gradient at the last layer is than the adversarial one's. A constant for the update:
 * callers scale gradients by it and never differentiate it.
 */
import { add, clamp, div, mul, reduceSum, sqrt, square, type Value } from "@dcae/core/graph";

const EPS = 1e-4;
const MAX = 1e4;

/**
 * weight * clamp(|r| / (|g| + 1e-4), 0, 1e4), a scalar.
 *
 * @param reconstruction gradient of the reconstruction loss with respect to the last convolution's weight
 * @param adversarial gradient of the generator loss with respect to the same
 * @param weight `disc_weight`
 */
export function adaptiveWeight(reconstruction: Value, adversarial: Value, weight: number): Value {
  const norm = (gradient: Value) => sqrt(reduceSum(square(gradient)));
  return mul(clamp(div(norm(reconstruction), add(norm(adversarial), EPS)), 0, MAX), weight);
}
