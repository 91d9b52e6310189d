/**
 * Mean and covariance of feature vectors, as the Frechet distance needs them.
 */
import { DataError, ShapeError } from "@dcae/core";

/** Mean and covariance of feature vectors, of which Frechet distances are made. */
export interface FeatureStatistics {
  /** For messages: a folder or file. Without it they speak of the first and second set. */
  readonly name?: string | undefined;
  /** How many vectors went in; unknown for files of other tools. */
  readonly count: number | undefined;
  /** [D]. */
  readonly mean: Float64Array;
  /** [D, D], row-major, divisor n - 1. */
  readonly covariance: Float64Array;
  /** Precision in which the numbers were stored; decides what counts as rounding. */
  readonly stored: "float64" | "float32";
}

const COARSE_STEP = 2 ** -12;
const FINE_STEP = 2 ** -44;
/** Adding and subtracting 1.5 * 2^52 steps rounds to a multiple of the step. */
const COARSE = 1.5 * 2 ** 52 * COARSE_STEP;
const FINE = 1.5 * 2 ** 52 * FINE_STEP;
/** Sums of squares bound every other sum. */
const MAX_SQUARES = 2 ** 40;
/** Each fine part is at most half a coarse step, so this many stay exact. */
const MAX_COUNT = 2 ** 21;

/** The sums as plain arrays, for files. */
export interface FeatureSums {
  readonly dimensions: number;
  readonly count: number;
  /** Coarse sums, then fine sums: 2 * D. */
  readonly sums: Float64Array;
  /** Products of the upper triangle, row by row from its diagonal; coarse, then fine: D * (D + 1). */
  readonly products: Float64Array;
}

export interface FeatureAccumulator {
  readonly dimensions: number;
  /** Vectors so far. */
  readonly count: number;
  /**
   * Adds vectors [N, D].
   *
   * @throws DataError when a value isn't finite or too large, ShapeError when the length doesn't fit
   */
  add(features: Float32Array): void;
  /** Adds what another accumulator or file has summed. */
  merge(other: FeatureSums): void;
  /** A copy of the sums. */
  toSums(): FeatureSums;
  /**
   * Mean and covariance with divisor n - 1.
   *
   * @throws DataError for fewer than two vectors
   */
  statistics(name: string): FeatureStatistics;
}

/** @param dimensions length of a vector, D */
export function createFeatureAccumulator(dimensions: number, start?: FeatureSums): FeatureAccumulator {
  const D = dimensions;
  const triangle = (D * (D + 1)) / 2;
  const sums = new Float64Array(2 * D);
  const products = new Float64Array(2 * triangle);
  let count = 0;

  function checkRange(): void {
    if (count > MAX_COUNT) {
      throw new DataError(`feature statistics: ${count} vectors are more than exact sums hold (${MAX_COUNT})`, {
        hint: "Use fewer images per set.",
      });
    }
    for (let i = 0, at = 0; i < D; at += D - i, i++) {
      if ((products[at] as number) >= MAX_SQUARES) {
        throw new DataError(`feature statistics: the squares of dimension ${i} sum up to more than ${MAX_SQUARES}`, {
          hint: "Features of this size don't come from a known network; check its weights.",
        });
      }
    }
  }

  const accumulator: FeatureAccumulator = {
    dimensions,
    get count() {
      return count;
    },
    add(features) {
      const added = features.length / D;
      if (!Number.isInteger(added)) {
        throw new ShapeError(`feature statistics: ${features.length} numbers aren't vectors of ${D}`);
      }
      checkFeatures(features, D, count);
      addSums(features, sums, D);
      addProducts(features, products, D);
      count += added;
      checkRange();
    },
    merge(other) {
      if (other.dimensions !== D) {
        throw new ShapeError(`feature statistics: can't add ${other.dimensions} dimensions to ${D}`);
      }
      for (let i = 0; i < sums.length; i++) sums[i] = (sums[i] as number) + (other.sums[i] as number);
      for (let i = 0; i < products.length; i++) products[i] = (products[i] as number) + (other.products[i] as number);
      count += other.count;
      checkRange();
    },
    toSums: () => ({ dimensions, count, sums: sums.slice(), products: products.slice() }),
    statistics: (name) => finish(name, D, count, sums, products),
  };
  if (start !== undefined) accumulator.merge(start);
  return accumulator;
}

function checkFeatures(features: Float32Array, D: number, before: number): void {
  for (let i = 0; i < features.length; i++) {
    const value = features[i] as number;
    // Squares of this size would leave the grids' range at once.
    if (!(Math.abs(value) < 2 ** 19)) {
      throw new DataError(`features of image ${before + Math.floor(i / D)}: ${value} at position ${i % D}`, {
        hint: "The network computed invalid numbers: check its weights, or use float32 if it ran in float16.",
      });
    }
  }
}

function addSums(features: Float32Array, sums: Float64Array, D: number): void {
  for (let start = 0; start < features.length; start += D) {
    for (let i = 0; i < D; i++) {
      const value = features[start + i] as number;
      const coarse = value + COARSE - COARSE;
      sums[i] = (sums[i] as number) + coarse;
      sums[D + i] = (sums[D + i] as number) + (value - coarse + FINE - FINE);
    }
  }
}

/** Four vectors at a time: the sums, not the vectors, are what doesn't fit into the cache. */
function addProducts(features: Float32Array, products: Float64Array, D: number): void {
  const half = products.length / 2;
  for (let start = 0; start < features.length; start += 4 * D) {
    const rows = Math.min(4, (features.length - start) / D);
    const o1 = rows > 1 ? start + D : start;
    const o2 = rows > 2 ? start + 2 * D : start;
    const o3 = rows > 3 ? start + 3 * D : start;
    let at = 0;
    for (let i = 0; i < D; i++) {
      const a0 = features[start + i] as number;
      // Missing vectors count with weight 0.
      const a1 = rows > 1 ? (features[o1 + i] as number) : 0;
      const a2 = rows > 2 ? (features[o2 + i] as number) : 0;
      const a3 = rows > 3 ? (features[o3 + i] as number) : 0;
      for (let j = i; j < D; j++, at++) {
        const p0 = a0 * (features[start + j] as number);
        const p1 = a1 * (features[o1 + j] as number);
        const p2 = a2 * (features[o2 + j] as number);
        const p3 = a3 * (features[o3 + j] as number);
        const c0 = p0 + COARSE - COARSE;
        const c1 = p1 + COARSE - COARSE;
        const c2 = p2 + COARSE - COARSE;
        const c3 = p3 + COARSE - COARSE;
        products[at] = (products[at] as number) + (c0 + c1 + (c2 + c3));
        products[half + at] =
          (products[half + at] as number) +
          (p0 - c0 + FINE - FINE + (p1 - c1 + FINE - FINE) + (p2 - c2 + FINE - FINE + (p3 - c3 + FINE - FINE)));
      }
    }
  }
}

function finish(name: string, D: number, count: number, sums: Float64Array, products: Float64Array): FeatureStatistics {
  if (count < 2) {
    throw new DataError(`${name}: a covariance needs at least 2 images, got ${count}`, {
      hint: "Give more pictures.",
    });
  }
  const mean = new Float64Array(D);
  for (let i = 0; i < D; i++) mean[i] = ((sums[i] as number) + (sums[D + i] as number)) / count;
  const covariance = new Float64Array(D * D);
  const half = products.length / 2;
  for (let i = 0, at = 0; i < D; i++) {
    for (let j = i; j < D; j++, at++) {
      const square = count * (mean[i] as number) * (mean[j] as number);
      // The large part first, where the difference cancels.
      const value = ((products[at] as number) - square + (products[half + at] as number)) / (count - 1);
      covariance[i * D + j] = value;
      covariance[j * D + i] = value;
    }
  }
  return { name, count, mean, covariance, stored: "float64" };
}
