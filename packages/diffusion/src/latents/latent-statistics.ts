/**
 * Mean and spread of latents: what a scaling factor is the inverse of (diffusion.md section 13).
 */

/** Sums per channel, which add up over files. */
export interface ChannelSums {
  readonly sums: Float64Array;
  readonly squares: Float64Array;
}

export interface LatentStatistics {
  /** Latents that were counted. */
  readonly count: number;
  readonly mean: number;
  readonly std: number;
  /** Root mean square; 1 / rms of unscaled latents is the published kind of scaling factor. */
  readonly rms: number;
  readonly channelMean: readonly number[];
  readonly channelStd: readonly number[];
}

/** Sums over latents [n, C, S, S]. */
export function channelSums(
  values: Float32Array,
  [channels, height, width]: readonly [number, number, number],
): ChannelSums {
  const plane = height * width;
  const [sums, squares] = [new Float64Array(channels), new Float64Array(channels)];
  for (let start = 0; start < values.length; start += plane) {
    const channel = (start / plane) % channels;
    let [sum, square] = [0, 0];
    for (let i = start; i < start + plane; i++) {
      const value = values[i] as number;
      sum += value;
      square += value * value;
    }
    sums[channel] = (sums[channel] as number) + sum;
    squares[channel] = (squares[channel] as number) + square;
  }
  return { sums, squares };
}

/** Adds `part` to `total` in place. */
export function addSums(total: ChannelSums, part: ChannelSums): void {
  part.sums.forEach((value, c) => {
    total.sums[c] = (total.sums[c] as number) + value;
    total.squares[c] = (total.squares[c] as number) + (part.squares[c] as number);
  });
}

/** @param count latents that the sums run over */
export function statisticsFrom({ sums, squares }: ChannelSums, count: number, plane: number): LatentStatistics {
  const total = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0);
  const perChannel = count * plane;
  const all = perChannel * sums.length;
  const spread = (sum: number, square: number, n: number) => Math.sqrt(Math.max(square / n - (sum / n) ** 2, 0));
  return {
    count,
    mean: total(sums) / all,
    std: spread(total(sums), total(squares), all),
    rms: Math.sqrt(total(squares) / all),
    channelMean: [...sums].map((sum) => sum / perChannel),
    channelStd: [...sums].map((sum, c) => spread(sum, squares[c] as number, perChannel)),
  };
}
