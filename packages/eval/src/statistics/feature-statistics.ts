/**
 * Mean and covariance of feature vectors, as the Frechet distance needs them.
 */

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
