/**
 * Sinusoidal embedding of the model time (Vaswani et al., 2017), cosines first (diffusion.md section 2).
 *
 * The frequencies are rounded to float32 at every step, as the reference computes them: near t = 1000 one unit of float32
 * in the argument is 6e-5, so frequencies in double precision would move the embedding by up to 3e-5.
 */
import { concat, constant, cos, mul, pad, reshape, sin, Tensor, type Value } from "@dcae/core/graph";

const LOG_PERIOD = Math.fround(-Math.log(10000));

/** exp(-ln(10000) k / half) for k = 0..half-1, in float32 arithmetic. */
export function timeFrequencies(half: number): Float32Array {
  return Float32Array.from({ length: half }, (_, k) => {
    const exponent = Math.fround(Math.fround(LOG_PERIOD * k) / half);
    return Math.exp(exponent);
  });
}

/** t [B] (may be fractional) to [B, width]: cosines, sines, and one zero if the width is odd. */
export function timeEmbedding(t: Value, width: number): Value {
  const half = Math.floor(width / 2);
  const frequencies = constant(Tensor.float32(timeFrequencies(half), [1, half]));
  const angles = mul(reshape(t, [t.shape[0] ?? 1, 1]), frequencies);
  return pad(concat([cos(angles), sin(angles)], 1), { 1: [0, width % 2] });
}
