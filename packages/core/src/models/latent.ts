/**
 * What an encoder gives for a picture: one latent, or a Gaussian that latents are drawn from (dcae.md section 10).
 */
import { createRandom } from "../graph/random.js";
import { sizeOf, Tensor } from "../graph/tensor.js";

/** How the output of an encoder is read. A column of `AutoencoderFamily`. */
export interface LatentForm<Latent> {
  /** Name of the encoder's output. */
  readonly output: "latent" | "moments";
  /** Whether latents are drawn at random. */
  readonly isRandom: boolean;
  /** What the encoder's output means. */
  read(output: Tensor<"float32">): Latent;
  /** One latent [N, L, h, w]: drawn with `noise` where latents are random, the most likely one without. */
  latentOf(encoded: Latent, noise?: number | Tensor): Tensor;
}

export const POINT: LatentForm<Tensor<"float32">> = {
  output: "latent",
  isRandom: false,
  read: (output) => output,
  latentOf: (latent) => latent,
};

export const GAUSSIAN: LatentForm<DiagonalGaussian> = {
  output: "moments",
  isRandom: true,
  read: diagonalGaussian,
  latentOf: (gaussian, noise) => (noise === undefined ? gaussian.mode() : gaussian.sample(noise)),
};

/** Log variances outside of this range are clamped, as the reference does. */
const LOG_VARIANCE_RANGE = [-30, 20] as const;

/** A Gaussian per latent value, all tensors [N, L, h, w]. */
export interface DiagonalGaussian {
  readonly mean: Tensor<"float32">;
  /** Clamped to [-30, 20]. */
  readonly logVariance: Tensor<"float32">;
  readonly std: Tensor<"float32">;
  /** The most likely latent, the mean. */
  mode(): Tensor<"float32">;
  /** mean + std * noise; `noise` is standard normal, drawn from `seed` or given. */
  sample(noise: number | Tensor): Tensor<"float32">;
  /** Kullback-Leibler divergence from the standard normal per picture, [N], in nats. */
  kl(): Tensor;
}

/** The Gaussian of moments [N, 2L, h, w] = [mean, log variance]. */
export function diagonalGaussian(moments: Tensor): DiagonalGaussian {
  const channels = (moments.shape[1] as number) / 2;
  const mean = moments.slice([undefined, { stop: channels }]).cast("float32");
  const [low, high] = LOG_VARIANCE_RANGE;
  const shape = mean.shape;
  const stored = moments.slice([undefined, { start: channels }]).cast("float32");
  const logVariance = stored.map((value) => Math.min(Math.max(value, low), high));
  const std = logVariance.map((value) => Math.exp(value / 2));
  return {
    mean,
    logVariance,
    std,
    mode: () => mean,
    sample(noise) {
      const epsilon = typeof noise === "number" ? normalNoise(noise, sizeOf(shape)) : noise.toFloat32();
      const scale = std.data;
      return mean.map((value, i) => value + (scale[i] as number) * (epsilon[i] as number));
    },
    kl() {
      const [center, logs] = [mean.toFloat32(), logVariance.toFloat32()];
      const perPicture = sizeOf(shape.slice(1));
      const sums = new Float32Array(shape[0] as number);
      sums.forEach((_, n) => {
        let sum = 0;
        for (let i = n * perPicture; i < (n + 1) * perPicture; i++) {
          const [m, log] = [center[i] as number, logs[i] as number];
          sum += m * m + Math.exp(log) - 1 - log;
        }
        sums[n] = sum / 2;
      });
      return Tensor.float32(sums);
    },
  };
}

function normalNoise(seed: number, size: number): Float32Array {
  const noise = new Float32Array(size);
  createRandom(seed).normal(noise);
  return noise;
}
