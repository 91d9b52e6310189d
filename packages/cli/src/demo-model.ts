/**
 * The small model of the demo: every kind of block that the published DC-AE have (residual blocks with batch norm in the
 * decoder, linear attention in the deep stages, shortcuts around all resampling), in half a million parameters.
 */
import { type ModelDescription, resolveDcAeConfig } from "@dcae/core/models";

const WIDTHS = [16, 32, 64, 64];
const BLOCKS = ["ResBlock", "ResBlock", "EViTGLU", "EViTGLU"];

export function demoModel(): ModelDescription {
  const config = resolveDcAeConfig({
    latentChannels: 32,
    headDim: 32,
    encoder: { widthList: WIDTHS, depthList: [0, 1, 1, 1], blockType: BLOCKS },
    decoder: {
      widthList: WIDTHS,
      depthList: [0, 1, 1, 1],
      blockType: BLOCKS,
      norm: ["bn2d", "bn2d", "trms2d", "trms2d"],
      act: ["relu", "relu", "silu", "silu"],
    },
  });
  return { kind: "dc-ae", config, scalingFactor: null, shiftFactor: null };
}
