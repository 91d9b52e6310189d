/** Multiply-accumulates of a program: convolutions and matrix products, as papers count them (no norms, no elementwise). */
import { staticShape } from "./dim.js";
import { inlineComposites } from "./map-graph.js";
import type { Program } from "./program.js";
import { sizeOf } from "./tensor.js";
import { topologicalOrder } from "./traverse.js";
import type { Value } from "./value.js";

function macsOf(value: Value): number {
  switch (value.op) {
    case "conv2d":
    case "qlinearConv2d": {
      const [, inPerGroup, height, width] = staticShape(value.inputs[1].shape, "countMacs") as readonly number[];
      return sizeOf(staticShape(value.shape, "countMacs")) * sizeOf([inPerGroup, height, width] as number[]);
    }
    case "convTranspose2d": {
      const [, outPerGroup, height, width] = staticShape(value.inputs[1].shape, "countMacs") as readonly number[];
      const input = sizeOf(staticShape(value.inputs[0].shape, "countMacs"));
      return input * sizeOf([outPerGroup, height, width] as number[]);
    }
    case "filterBank":
      return (
        sizeOf(staticShape(value.shape, "countMacs")) * (staticShape(value.inputs[1].shape, "countMacs").at(-1) ?? 1)
      );
    case "matmul":
      return (
        sizeOf(staticShape(value.shape, "countMacs")) * (staticShape(value.inputs[0].shape, "countMacs").at(-1) ?? 1)
      );
    default:
      return 0;
  }
}

/**
 * Multiply-accumulates of one run.
 *
 * @throws ShapeError when the program has symbolic dimensions
 */
export function countMacs(program: Program): number {
  const { outputs: named, updates } = inlineComposites(program);
  const outputs = [...named.values(), ...updates.values()];
  return topologicalOrder(outputs).reduce((sum, value) => sum + macsOf(value), 0);
}
