/**
 * Mean, root mean square and deviation of latents (training.md section 10): what a scaling factor is the inverse of. The one
 * definition of them, for training sets, evaluations and folders of latents.
 *
 * Sums are kept in double precision, so that batches can come in any number, and parts of a data set can be added up.
 */
import { ConfigError, DataError } from "../errors.js";
import type { Tensor } from "../graph/tensor.js";

/** Sums over some values, which add up. */
export interface ValueSums {
  readonly sum: number;
  /** Of the squares. */
  readonly squares: number;
  readonly count: number;
}

export interface Moments {
  readonly mean: number;
  /** Root of the mean square. */
  readonly rms: number;
  /** Unbiased (n - 1); 0 for a single value. */
  readonly std: number;
}

/** Sums over the values from `start` (default: the first) up to `stop` (default: all), without `stop` itself. */
export function valueSums(values: ArrayLike<number>, start = 0, stop = values.length): ValueSums {
  let [sum, squares] = [0, 0];
  for (let i = start; i < stop; i++) {
    const value = values[i] as number;
    sum += value;
    squares += value * value;
  }
  return { sum, squares, count: stop - start };
}

/** @param sums over at least one value */
export function momentsOf({ sum, squares, count }: ValueSums): Moments {
  const mean = sum / count;
  // Rounding may leave a variance of equal values just below 0.
  const variance = Math.max(squares - mean * sum, 0) / Math.max(count - 1, 1);
  return { mean, rms: Math.sqrt(squares / count), std: Math.sqrt(variance) };
}

/** Sums per channel of latents [n, C, H, W], which add up over batches and files. */
export interface ChannelSums {
  readonly sums: Float64Array;
  readonly squares: Float64Array;
}

/**
 * @param values latents [n, C, H, W], one after the other
 * @param plane H * W
 */
export function channelSums(values: ArrayLike<number>, channels: number, plane: number): ChannelSums {
  const total = { sums: new Float64Array(channels), squares: new Float64Array(channels) };
  for (let start = 0; start < values.length; start += plane) {
    const channel = (start / plane) % channels;
    const { sum, squares } = valueSums(values, start, start + plane);
    total.sums[channel] = (total.sums[channel] as number) + sum;
    total.squares[channel] = (total.squares[channel] as number) + squares;
  }
  return total;
}

/** Adds `part` to `total` in place. */
export function addChannelSums(total: ChannelSums, part: ChannelSums): void {
  part.sums.forEach((value, c) => {
    total.sums[c] = (total.sums[c] as number) + value;
    total.squares[c] = (total.squares[c] as number) + (part.squares[c] as number);
  });
}

/** Moments of all values, and those of each channel. */
export interface ChannelMoments extends Moments {
  readonly channels: readonly Moments[];
}

/** @param perChannel values that each channel's sums run over, at least one */
export function channelMoments({ sums, squares }: ChannelSums, perChannel: number): ChannelMoments {
  const total = (parts: Float64Array) => parts.reduce((sum, part) => sum + part, 0);
  return {
    ...momentsOf({ sum: total(sums), squares: total(squares), count: perChannel * sums.length }),
    channels: Array.from(sums, (sum, c) => momentsOf({ sum, squares: squares[c] as number, count: perChannel })),
  };
}

export interface LatentStatistics extends ChannelMoments {
  /** 1 / rms: what latents are multiplied by before a diffusion model sees them. */
  readonly scalingFactor: number;
  /** Number of latents. */
  readonly count: number;
}

export interface LatentStatisticsAccumulator {
  /** Adds latents [N, C, ...]. @throws DataError when the channels differ from earlier ones or a value isn't finite */
  add(latents: Tensor): void;
  /** @throws DataError when nothing was added */
  result(): LatentStatistics;
}

/** Statistics of latents that come batch by batch. */
export function latentStatistics(): LatentStatisticsAccumulator {
  let total: ChannelSums | undefined;
  let perChannel = 0;
  let count = 0;
  return {
    add(latents) {
      const [batch, channels] = latents.shape;
      if (batch === undefined || channels === undefined || (total !== undefined && total.sums.length !== channels)) {
        throw new DataError(`latent statistics: got latents [${latents.shape.join(", ")}]`, {
          hint: `Latents are [N, C, ...]${total === undefined ? "" : `, so far with ${total.sums.length} channels`}.`,
        });
      }
      const values = latents.toFloat32();
      if (!values.every(Number.isFinite)) throw new DataError("latent statistics: a latent isn't finite");
      const plane = values.length / (batch * channels);
      const part = channelSums(values, channels, plane);
      if (total === undefined) total = part;
      else addChannelSums(total, part);
      perChannel += batch * plane;
      count += batch;
    },
    result() {
      if (total === undefined || count === 0) throw new DataError("latent statistics: there were no latents");
      const moments = channelMoments(total, perChannel);
      return { ...moments, scalingFactor: 1 / moments.rms, count };
    },
  };
}

// The scale that diffusion models see latents in: (z - shift) * factor. Autoencoders themselves never apply it; everything that
// scales latents or takes their scale away does it here.

export interface LatentScale {
  /** 1 / RMS of the latents over the training set; null where none was published. */
  readonly factor: number | null;
  /** Subtracted before scaling; 0 for every DC-AE. */
  readonly shift: number;
}

function requireFactor({ factor }: LatentScale, model: string): number {
  if (factor !== null) return factor;
  throw new ConfigError(`${model}: no scaling factor is known for this model`, {
    hint: "Measure 1 / RMS of its latents on your data, and pass it as scalingFactor when loading.",
  });
}

/**
 * Latents of the autoencoder in the scale of diffusion models.
 *
 * @param model for messages
 * @throws ConfigError where no factor is known
 */
export function scaleLatent(latent: Tensor, scale: LatentScale, model: string): Tensor<"float32"> {
  const factor = requireFactor(scale, model);
  return latent.cast("float32").map((value) => (value - scale.shift) * factor);
}

/** The inverse of `scaleLatent`. */
export function unscaleLatent(latent: Tensor, scale: LatentScale, model: string): Tensor<"float32"> {
  const factor = requireFactor(scale, model);
  return latent.cast("float32").map((value) => value / factor + scale.shift);
}
