/**
 * Statistics of latents over a data set (training.md section 10), from which the scaling factor of diffusion models follows.
 *
 * Sums are kept in double precision, so that batches can come in any number; two halves of a data set can be merged.
 */
import { DataError, type Tensor } from "@dcae/core/graph";

export interface Moments {
  readonly mean: number;
  /** Root of the mean square. */
  readonly rms: number;
  /** Unbiased (n - 1). */
  readonly std: number;
}

export interface LatentStatistics extends Moments {
  readonly channels: readonly Moments[];
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

function moments(sum: number, squares: number, n: number): Moments {
  const mean = sum / n;
  return { mean, rms: Math.sqrt(squares / n), std: Math.sqrt(Math.max(squares - mean * sum, 0) / Math.max(n - 1, 1)) };
}

export function latentStatistics(): LatentStatisticsAccumulator {
  let sums: Float64Array | undefined;
  let squares: Float64Array = new Float64Array();
  let perChannel = 0;
  let count = 0;
  return {
    add(latents) {
      const [batch, channels] = latents.shape;
      if (batch === undefined || channels === undefined || (sums !== undefined && sums.length !== channels)) {
        throw new DataError(`latent statistics: got latents [${latents.shape.join(", ")}]`, {
          hint: `Latents are [N, C, ...]${sums === undefined ? "" : `, so far with ${sums.length} channels`}.`,
        });
      }
      sums ??= new Float64Array(channels);
      if (squares.length === 0) squares = new Float64Array(channels);
      const values = latents.toFloat32();
      const size = values.length / (batch * channels);
      for (let i = 0; i < values.length; i++) {
        const value = values[i] as number;
        if (!Number.isFinite(value)) throw new DataError("latent statistics: a latent isn't finite");
        const channel = Math.floor(i / size) % channels;
        sums[channel] = (sums[channel] as number) + value;
        squares[channel] = (squares[channel] as number) + value * value;
      }
      perChannel += batch * size;
      count += batch;
    },
    result() {
      if (sums === undefined || count === 0) throw new DataError("latent statistics: there were no latents");
      const total = (parts: Float64Array) => parts.reduce((sum, part) => sum + part, 0);
      const all = moments(total(sums), total(squares), perChannel * sums.length);
      const channels = [...sums].map((sum, c) => moments(sum, squares[c] as number, perChannel));
      return { ...all, channels, scalingFactor: 1 / all.rms, count };
    },
  };
}
