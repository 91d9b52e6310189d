/**
 * Resampling kernels and their weights, as Pillow defines them: separable, antialiased when shrinking.
 *
 * For an axis of n pixels that becomes m: a kernel of half-width S is stretched by max(n / m, 1), centered at
 * (i + 0.5) n / m for output i, sampled at pixel centers and normalized to sum 1. Positions outside of the picture get
 * no weight. Sine and cosine (Lanczos, Hamming) are our own series, so weights are the same on every platform.
 */
import { cosineOfTurn, sineOfTurn } from "../graph/deterministic-math.js";

export type ResampleFilter = "box" | "bilinear" | "hamming" | "bicubic" | "lanczos";

interface Kernel {
  /** Half-width in source pixels at scale 1. */
  readonly support: number;
  readonly at: (t: number) => number;
}

/** sin(pi t) / (pi t). */
function sinc(t: number): number {
  return t === 0 ? 1 : sineOfTurn(t / 2) / (Math.PI * t);
}

const CUBIC_A = -0.5;
// Pillow writes these two as float32 constants.
const HAMMING_MEAN = Math.fround(0.54);
const HAMMING_SWING = Math.fround(0.46);

export const RESAMPLE_KERNELS: Readonly<Record<ResampleFilter, Kernel>> = {
  box: { support: 0.5, at: (t) => (t > -0.5 && t <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, at: (t) => Math.max(1 - Math.abs(t), 0) },
  hamming: {
    support: 1,
    at: (t) => (Math.abs(t) < 1 ? sinc(t) * (HAMMING_MEAN + HAMMING_SWING * cosineOfTurn(t / 2)) : 0),
  },
  bicubic: {
    support: 2,
    at(t) {
      const d = Math.abs(t);
      if (d < 1) return ((CUBIC_A + 2) * d - (CUBIC_A + 3)) * d * d + 1;
      return d < 2 ? (((d - 5) * d + 8) * d - 4) * CUBIC_A : 0;
    },
  },
  lanczos: { support: 3, at: (t) => (t >= -3 && t < 3 ? sinc(t) * sinc(t / 3) : 0) },
};

/** Weights of one axis: output `i` is the sum over `j` of `weights[i * taps + j] * source[first[i] + j]`. */
export interface ResampleWeights {
  /** Weights per output; unused ones at the end of a row are 0. */
  readonly taps: number;
  /** Index of the first source pixel of each output. */
  readonly first: Int32Array;
  /** Source pixels of each output. */
  readonly count: Int32Array;
  /** Each row sums to 1. */
  readonly weights: Float64Array;
}

/** Weights that resample `from` pixels to `to` pixels. */
export function resampleWeights(from: number, to: number, filter: ResampleFilter): ResampleWeights {
  const kernel = RESAMPLE_KERNELS[filter];
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  // Pillow multiplies by the reciprocal; dividing would differ in the last bit of some float results.
  const shrink = 1 / stretch;
  const support = kernel.support * stretch;
  const taps = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(to);
  const count = new Int32Array(to);
  const weights = new Float64Array(to * taps);
  for (let i = 0; i < to; i++) {
    const center = (i + 0.5) * scale;
    const low = Math.max(Math.trunc(center - support + 0.5), 0);
    const high = Math.min(Math.trunc(center + support + 0.5), from);
    let sum = 0;
    for (let j = 0; j < high - low; j++) {
      const weight = kernel.at((j + low - center + 0.5) * shrink);
      weights[i * taps + j] = weight;
      sum += weight;
    }
    for (let j = 0; j < high - low; j++) weights[i * taps + j] = (weights[i * taps + j] as number) / sum;
    first[i] = low;
    count[i] = high - low;
  }
  return { taps, first, count, weights };
}
