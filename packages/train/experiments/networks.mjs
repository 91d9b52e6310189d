// The networks of the miniature experiments: one residual block per stage but the first, RMS norm, and a latent of 512 numbers
// for a 64 x 64 picture whatever the compression (training.md section 11). Deeper networks contain the shallower ones.

/** By compression. The averaging shortcut into the latent needs a last width that 512 channels divide. */
const WIDTHS = {
  8: [16, 16, 32, 32],
  16: [16, 16, 32, 32, 64],
  32: [16, 16, 32, 32, 64, 128],
  64: [16, 16, 32, 32, 64, 128, 512],
};

/** Compression factor to the network's configuration. */
export function network(compression, shortcuts) {
  const widthList = WIDTHS[compression];
  const part = {
    widthList,
    depthList: widthList.map((_, stage) => Math.min(stage, 1)),
    blockType: "ResBlock",
  };
  return {
    latentChannels: 8 * (compression / 8) ** 2,
    encoder: shortcuts ? part : { ...part, downsampleShortcut: null, outShortcut: null },
    decoder: shortcuts ? part : { ...part, upsampleShortcut: null, inShortcut: null },
  };
}

/** The network at f16 as DC-AE 1.5 is: any of the first of its 32 latent channels can be taken, and no shortcut goes around the latent. */
export function adaptiveNetwork() {
  const { latentChannels, encoder, decoder } = network(16, true);
  return {
    latentChannels,
    encoder: { ...encoder, outBlockType: "AdaptiveOutputConvLayer", outShortcut: null },
    decoder: { ...decoder, inBlockType: "AdaptiveInputConvLayer", inShortcut: null },
  };
}

/** AdamW after a warm-up. */
export function optimizer(lr, warmupSteps, weightDecay) {
  return { schedule: { kind: "constant-warmup", lr, warmupLr: lr / 10, warmupSteps }, weightDecay };
}
