/**
 * Initial values of a fresh model (dcae.md section 11: PyTorch's defaults, which the blocks state per parameter).
 *
 * Each parameter draws from its own random stream, numbered by its name. So its values depend on the seed and the name alone, not
 * on the order in which parameters are made, nor on which others there are.
 */
import { ConfigError } from "../errors.js";
import { createRandom } from "../graph/random.js";
import { Tensor } from "../graph/tensor.js";
import type { ParameterSpec } from "../graph/value.js";

/**
 * The initial values of one parameter.
 *
 * @param seed integer in [0, 2^64)
 * @throws ConfigError when a random initializer is asked for in another dtype than float32 or float64
 */
export function initializeParameter(spec: ParameterSpec, seed: number | bigint): Tensor {
  const { name, shape, dtype, init } = spec;
  if (init.kind === "constant") return Tensor.full(shape, init.value).cast(dtype);
  if (init.kind === "computed") return Tensor.float32(init.values(), shape).cast(dtype);
  const values = Tensor.zeros(shape, dtype);
  const { data } = values;
  if (!(data instanceof Float32Array || data instanceof Float64Array)) {
    throw new ConfigError(`initialize: ${name} is ${dtype} but only float32 and float64 are drawn at random`);
  }
  const random = createRandom(seed, name);
  if (init.kind === "uniform") random.uniform(data, -init.bound, init.bound);
  else random.normal(data, init.mean ?? 0, init.std);
  return values;
}
