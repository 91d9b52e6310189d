/** Activations by their official names (dcae.md 1.4). */
import { gelu, geluTanh, leakyRelu, silu } from "../graph/ops/composites.js";
import { hardSwish, mish, relu, relu6 } from "../graph/ops/elementwise.js";
import type { Value } from "../graph/value.js";
import type { ActName } from "./block-spec.js";

const activations: Readonly<Record<ActName, (x: Value) => Value>> = {
  relu,
  relu6,
  hswish: hardSwish,
  silu,
  gelu: geluTanh,
  gelu_erf: gelu,
  mish,
  linear: (x) => x,
  lrelu: (x) => leakyRelu(x, 0.2),
};

/** Activation `name` of x; null is the identity. */
export function activation(x: Value, name: ActName | null): Value {
  return name === null ? x : activations[name](x);
}
