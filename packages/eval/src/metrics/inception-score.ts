/**
 * Inception score: exp of the mean divergence between each image's class distribution and that of its part of the set
 * (evaluation.md section 5). In float64.
 *
 * The published scores shuffle with NumPy's `RandomState(2020).permutation(n)`, so its generator is here as far as permutations need
 * it. Source: Matsumoto and Nishimura, Mersenne Twister (1998).
 */

import { DataError, ShapeError } from "@dcae/core";
import { plural } from "@dcae/core/internal";

export interface InceptionScore {
  readonly mean: number;
  /** Population standard deviation over the parts. */
  readonly std: number;
  /** The score of each part. */
  readonly parts: readonly number[];
}

export interface InceptionScoreOptions {
  /** Number of parts (default 10), or the size of consecutive parts as ADM cuts them. */
  readonly splits?: number | { readonly size: number };
  /** Shuffles as `RandomState(seed).permutation` first (default 2020, as torch-fidelity); null keeps the order. */
  readonly seed?: number | null;
}

/**
 * The score of logits [N, C] (row-major). The published network gives them without the bias of its last layer.
 *
 * @throws DataError when there are fewer images than parts, ShapeError when the length doesn't fit
 */
export function inceptionScore(
  logits: Float32Array,
  classes: number,
  options: InceptionScoreOptions = {},
): InceptionScore {
  const { splits = 10, seed = 2020 } = options;
  const count = logits.length / classes;
  if (!Number.isInteger(count)) {
    throw new ShapeError(`inception score: ${logits.length} logits aren't rows of ${classes} classes`);
  }
  const order = seed === null ? Int32Array.from({ length: count }, (_, i) => i) : numpyPermutation(count, seed);
  const bounds = boundsOf(count, splits);
  const parts = bounds.map(([start, end]) => scoreOf(logits, classes, order.subarray(start, end)));
  const mean = parts.reduce((sum, score) => sum + score, 0) / parts.length;
  const variance = parts.reduce((sum, score) => sum + (score - mean) ** 2, 0) / parts.length;
  return { mean, std: Math.sqrt(variance), parts };
}

function boundsOf(count: number, splits: number | { readonly size: number }): [number, number][] {
  if (typeof splits === "number") {
    if (!Number.isInteger(splits) || splits < 1 || count < splits) {
      throw new DataError(`inception score: ${plural(count, "image")} can't be cut into ${plural(splits, "part")}`, {
        hint: "Give more images or fewer splits.",
      });
    }
    const bound = (i: number) => Math.floor((i * count) / splits);
    return Array.from({ length: splits }, (_, i) => [bound(i), bound(i + 1)]);
  }
  const parts: [number, number][] = [];
  for (let start = 0; start < count; start += splits.size) parts.push([start, Math.min(start + splits.size, count)]);
  if (parts.length === 0) throw new DataError("inception score: there are no images");
  return parts;
}

function scoreOf(logits: Float32Array, classes: number, rows: Int32Array): number {
  const marginal = new Float64Array(classes);
  const probabilities = new Float64Array(classes);
  let negativeEntropy = 0;
  for (const row of rows) {
    const start = row * classes;
    let largest = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < classes; c++) largest = Math.max(largest, logits[start + c] as number);
    if (!Number.isFinite(largest)) throw new DataError(`inception score: invalid logits of image ${row}`);
    let total = 0;
    for (let c = 0; c < classes; c++) {
      const value = Math.exp((logits[start + c] as number) - largest);
      probabilities[c] = value;
      total += value;
    }
    const logTotal = Math.log(total);
    for (let c = 0; c < classes; c++) {
      const p = (probabilities[c] as number) / total;
      marginal[c] = (marginal[c] as number) + p;
      // p log p with the logarithm taken before rounding: p may be 0, its logarithm isn't.
      negativeEntropy += p * ((logits[start + c] as number) - largest - logTotal);
    }
  }
  let cross = 0;
  for (const sum of marginal) if (sum > 0) cross += (sum / rows.length) * Math.log(sum / rows.length);
  return Math.exp(negativeEntropy / rows.length - cross);
}

/**
 * NumPy's legacy generator, as far as its permutations need it: the published inception scores shuffle with
 * `RandomState(2020).permutation(n)`. Source: Matsumoto and Nishimura, Mersenne Twister (1998).
 */
const SIZE = 624;
const SHIFT = 397;

function createMersenneTwister(seed: number): () => number {
  const state = new Uint32Array(SIZE);
  state[0] = seed;
  for (let i = 1; i < SIZE; i++) {
    const previous = state[i - 1] as number;
    state[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i;
  }
  let position = SIZE;

  function refill(): void {
    for (let i = 0; i < SIZE; i++) {
      const y = ((state[i] as number) & 0x80000000) | ((state[(i + 1) % SIZE] as number) & 0x7fffffff);
      state[i] = (state[(i + SHIFT) % SIZE] as number) ^ (y >>> 1) ^ ((y & 1) === 0 ? 0 : 0x9908b0df);
    }
    position = 0;
  }

  return () => {
    if (position === SIZE) refill();
    let y = state[position++] as number;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

/** The numbers 0 to n - 1 in the order of NumPy's `RandomState(seed).permutation(n)`. */
export function numpyPermutation(n: number, seed: number): Int32Array {
  const next = createMersenneTwister(seed);
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const mask = 2 ** (32 - Math.clz32(i)) - 1;
    let j = (next() & mask) >>> 0;
    while (j > i) j = (next() & mask) >>> 0;
    const swapped = order[i] as number;
    order[i] = order[j] as number;
    order[j] = swapped;
  }
  return order;
}
