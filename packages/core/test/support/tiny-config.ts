/** The architecture of f32c32 with a sixteenth of its widths and at most one block per stage. */
import type { DcAeConfig } from "../../src/models/dc-ae/dc-ae-config.js";
import { getPreset } from "../../src/models/index.js";

const WIDTH_DIVISOR = 16;

/** The architecture at tiny widths; every rule about divisibility still holds. */
export function tinyConfig(config: DcAeConfig): DcAeConfig {
  const shrink = <Part extends DcAeConfig["encoder"] | DcAeConfig["decoder"]>(part: Part): Part => ({
    ...part,
    widthList: part.widthList.map((width) => width / WIDTH_DIVISOR),
    depthList: part.depthList.map((depth) => Math.min(depth, 1)),
  });
  return {
    ...config,
    headDim: 4,
    latentChannels: config.latentChannels / WIDTH_DIVISOR,
    encoder: shrink(config.encoder),
    decoder: shrink(config.decoder),
  };
}

export const tinyF32 = tinyConfig(getPreset("dc-ae-f32c32-in-1.0").config as DcAeConfig);
