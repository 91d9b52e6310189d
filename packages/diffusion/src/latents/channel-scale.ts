/**
 * Latents whose every channel has mean 0 and deviation 1 in the eyes of the denoiser, whatever the channels of the autoencoder are
 * like. The numbers are those of the latents that it was trained on. Outside of the network latents stay in the one scale
 * `(z - shiftFactor) * scalingFactor`: what is trained on is normalized when it is read, and what is sampled is taken back.
 */
import type { Tensor } from "@dcae/core/graph";
import type { LatentDataset } from "./latent-dataset.js";

/** Of scaled latents, one number per channel. */
export interface ChannelScale {
  readonly mean: readonly number[];
  /** Positive. */
  readonly std: readonly number[];
}

/** The data set as a denoiser with that scale sees it. */
export function normalizeChannels(dataset: LatentDataset, scale: ChannelScale): LatentDataset {
  return {
    ...dataset,
    async read(indices) {
      const { latents, labels } = await dataset.read(indices);
      return { latents: toChannelScale(latents, scale), labels };
    },
  };
}

/** (x - mean) / std, for x [N, C, ...]; C may be fewer than all channels. */
export function toChannelScale(x: Tensor, { mean, std }: ChannelScale): Tensor<"float32"> {
  const channelAt = channelOf(x);
  return x.cast("float32").map((value, i) => (value - (mean[channelAt(i)] as number)) / (std[channelAt(i)] as number));
}

/** The inverse: x * std + mean. */
export function fromChannelScale(x: Tensor, { mean, std }: ChannelScale): Tensor<"float32"> {
  const channelAt = channelOf(x);
  return x.cast("float32").map((value, i) => value * (std[channelAt(i)] as number) + (mean[channelAt(i)] as number));
}

function channelOf({ shape }: Tensor): (index: number) => number {
  const [, channels = 1, ...rest] = shape;
  const plane = rest.reduce((product, side) => product * side, 1);
  return (index) => Math.floor(index / plane) % channels;
}
