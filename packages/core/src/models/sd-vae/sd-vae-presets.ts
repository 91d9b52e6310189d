/** The published autoencoders of Stable Diffusion that are baselines, as data (dcae.md section 10). */
import type { PresetBase } from "../family.js";
import type { SdVaeConfig } from "./sd-vae-config.js";

export interface SdVaePreset extends PresetBase {
  readonly kind: "sd-vae";
  readonly family: "sd-vae";
  readonly config: SdVaeConfig;
}

const sdVaeConfig: SdVaeConfig = {
  inChannels: 3,
  outChannels: 3,
  latentChannels: 4,
  blockOutChannels: [128, 256, 512, 512],
  layersPerBlock: 2,
  normNumGroups: 32,
  act: "silu",
  useQuantConv: true,
  usePostQuantConv: true,
  midBlockAddAttention: true,
  sampleSize: 256,
};

function sdVaePreset(name: string): SdVaePreset {
  return {
    kind: "sd-vae",
    family: "sd-vae",
    name,
    aliases: [],
    hubId: `stabilityai/${name}`,
    // 1 / standard deviation of the latents of the first stage's training data, as fixed by latent diffusion.
    scalingFactor: 0.18215,
    config: sdVaeConfig,
    // encoder and decoder without the two 1x1 convolutions around the latent (72 and 20 values), which the total counts.
    parameters: { encoder: 34_163_592, decoder: 49_490_179, total: 83_653_863 },
    gmacs: {
      256: { encode: 136.4, decode: 311.1 },
      512: { encode: 558.3, decode: 1257.3 },
      1024: { encode: 2439.5, decode: 5235.2 },
    },
  };
}

export const SD_VAE_PRESETS: readonly SdVaePreset[] = [sdVaePreset("sd-vae-ft-ema"), sdVaePreset("sd-vae-ft-mse")];
