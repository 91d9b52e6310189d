/** Rounding to a grid is constant almost everywhere: nothing flows through quantized values. */
import type { OpName } from "@dcae/core/graph";
import type { GradientRule } from "../gradient-rule.js";

export const quantizationGradients = {
  quantizeLinear: null,
  dequantizeLinear: null,
  qlinearConv2d: null,
} satisfies { [K in OpName]?: GradientRule<K> };
