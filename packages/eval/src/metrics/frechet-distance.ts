/**
 * Frechet distance between two Gaussians: |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr sqrt(S1 S2) (evaluation.md section 3).
 *
 * The reference tools take a general matrix root of S1 S2, which can come out complex. Here the trace of the root is a
 * sum of singular values (linalg/nuclear-norm.ts): real by construction, for singular matrices too.
 */

import { DataError, ShapeError } from "@dcae/core";
import { plural } from "@dcae/core/internal";
import { type CholeskyFactor, nuclearNormOfProduct, pivotedCholesky } from "../linalg/nuclear-norm.js";
import type { FeatureStatistics } from "../statistics/feature-accumulator.js";

export interface FrechetResult {
  /** The distance, at least 0. */
  readonly distance: number;
  /** |mu1 - mu2|^2. */
  readonly meanTerm: number;
  /** tr S1 + tr S2 - 2 tr sqrt(S1 S2). */
  readonly covarianceTerm: number;
  /** Numerical ranks of the two covariances. */
  readonly ranks: readonly [number, number];
  /** What a reader of the number must know. */
  readonly warnings: readonly string[];
}

/** A remainder this much below 0 (relative to the variances) is more than rounding and worth a word. */
const NOTEWORTHY_NEGATIVITY = 1e-6;

/**
 * The Frechet distance of two sets of statistics.
 *
 * @throws ShapeError when the dimensions differ, DataError when a covariance isn't one or has invalid numbers
 * @example
 * ```ts
 * import { frechetDistance } from "@dcae/eval";
 *
 * const covariance = Float64Array.of(1, 0, 0, 1);
 * const common = { count: 1000, covariance, stored: "float64" } as const;
 * const a = { ...common, mean: Float64Array.of(0, 0) };
 * const b = { ...common, mean: Float64Array.of(3, 4) };
 * console.log(frechetDistance(a, b).distance); // 25
 * ```
 */
export function frechetDistance(one: FeatureStatistics, other: FeatureStatistics): FrechetResult {
  const first = { ...one, name: one.name || "the first set" };
  const second = { ...other, name: other.name || "the second set" };
  for (const set of [first, second]) checkSizes(set);
  const size = first.mean.length;
  if (second.mean.length !== size) {
    throw new ShapeError(
      `Frechet distance: ${first.name} has ${size} dimensions, ${second.name} has ${second.mean.length}`,
      { hint: "Both must come from the same network; FID uses 2048 Inception features." },
    );
  }
  const factors = [factorOf(first), factorOf(second)] as const;
  let meanTerm = 0;
  let traces = 0;
  for (let i = 0; i < size; i++) {
    meanTerm += ((first.mean[i] as number) - (second.mean[i] as number)) ** 2;
    traces += (first.covariance[i * size + i] as number) + (second.covariance[i * size + i] as number);
  }
  if (!Number.isFinite(meanTerm)) {
    throw new DataError(`Frechet distance: the means of ${first.name} or ${second.name} have invalid numbers`);
  }
  const covarianceTerm = traces - 2 * nuclearNormOfProduct(...factors);
  return {
    distance: Math.max(meanTerm + covarianceTerm, 0),
    meanTerm,
    covarianceTerm,
    ranks: [factors[0].rank, factors[1].rank],
    warnings: warningsFor([first, second], factors),
  };
}

interface NamedStatistics extends FeatureStatistics {
  readonly name: string;
}

function checkSizes({ name, mean, covariance }: NamedStatistics): void {
  if (mean.length > 0 && covariance.length === mean.length ** 2) return;
  throw new ShapeError(
    `Frechet distance: ${name} has a mean of ${mean.length} and a covariance of ${covariance.length} numbers, ` +
      "expected D and D * D",
  );
}

function factorOf({ covariance, mean, name, stored }: NamedStatistics): CholeskyFactor {
  return pivotedCholesky(covariance, mean.length, {
    name: `the covariance of ${name}`,
    noise: stored === "float32" ? 2 ** -24 : 2 ** -53,
  });
}

function warningsFor(
  statistics: readonly [NamedStatistics, NamedStatistics],
  factors: readonly [CholeskyFactor, CholeskyFactor],
): string[] {
  const warnings: string[] = [];
  const few = statistics.filter(({ count, mean }) => count !== undefined && count <= mean.length);
  if (few.length > 0) {
    const which = few.map(({ name, count }) => `${name} has ${plural(count as number, "image")}`).join(" and ");
    warnings.push(
      `${which} for ${few[0]?.mean.length} dimensions: the covariance is singular and the distance is biased; ` +
        "compare it only with distances of the same number of images",
    );
  }
  statistics.forEach((set, i) => {
    const { name } = set;
    const { rank, size, negativity } = factors[i] as CholeskyFactor;
    if (!few.includes(set) && rank < size) {
      warnings.push(`the covariance of ${name} has rank ${rank} of ${size}`);
    }
    if (negativity > NOTEWORTHY_NEGATIVITY) {
      warnings.push(
        `the covariance of ${name} isn't positive semi-definite within rounding ` +
          `(${negativity.toExponential(1)} of its largest variance); the negative part was set to 0`,
      );
    }
  });
  const [a, b] = statistics;
  if (a.count !== undefined && b.count !== undefined && a.count !== b.count) {
    warnings.push(`the sets have ${a.count} and ${b.count} images; the distance depends on both numbers`);
  }
  return warnings;
}
