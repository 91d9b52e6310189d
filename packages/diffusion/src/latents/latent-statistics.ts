/** What `statistics.json` of a folder of latents says (diffusion.md section 13). */
import { type ChannelSums, channelMoments } from "@dcae/core/internal";

export interface LatentFolderStatistics {
  /** Latents that were counted. */
  readonly count: number;
  readonly mean: number;
  /** Unbiased (n - 1), as in all statistics of latents. */
  readonly std: number;
  /** Root mean square; 1 / rms of unscaled latents is the published kind of scaling factor. */
  readonly rms: number;
  readonly channelMean: readonly number[];
  readonly channelStd: readonly number[];
}

/**
 * @param count latents that the sums run over
 * @param plane values of one channel of a latent
 */
export function statisticsFrom(sums: ChannelSums, count: number, plane: number): LatentFolderStatistics {
  const { mean, std, rms, channels } = channelMoments(sums, count * plane);
  return {
    ...{ count, mean, std, rms },
    channelMean: channels.map((channel) => channel.mean),
    channelStd: channels.map((channel) => channel.std),
  };
}
