/**
 * A linear layer under PyTorch's names: weight [out, in], bias [out], y = x W^T + b.
 */
import { add, type Initializer, matmul, type Scope, transpose, type Value } from "@dcae/core/graph";

export interface LinearOptions {
  /** Of the weight. */
  readonly init: Initializer;
  readonly bias?: boolean;
  readonly biasInit?: Initializer;
}

/** x [..., in] to [..., out] with parameters `weight` and `bias` of `scope`. */
export function linear(scope: Scope, x: Value, outFeatures: number, options: LinearOptions): Value {
  const inFeatures = x.shape.at(-1) as number;
  const weight = scope.parameter("weight", [outFeatures, inFeatures], { init: options.init });
  const y = matmul(x, transpose(weight));
  if (options.bias === false) return y;
  const bias = options.biasInit === undefined ? {} : { init: options.biasInit };
  return add(y, scope.parameter("bias", [outFeatures], bias));
}
