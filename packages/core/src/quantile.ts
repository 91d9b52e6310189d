/** Quantiles of measured values, for benchmarks and reports. */

/**
 * The value below which a share of the numbers lies, linearly between neighbors.
 *
 * @param values at least one, in any order
 * @param share in [0, 1]
 */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const position = (sorted.length - 1) * share;
  const low = Math.floor(position);
  const [a, b] = [sorted[low] as number, sorted[Math.min(low + 1, sorted.length - 1)] as number];
  return a + (b - a) * (position - low);
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Times of runs, in seconds. */
export interface RunTimes {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Half of the middle half's width over the median: how steady the machine was. */
  readonly spread: number;
  readonly runs: number;
}

/** @param times at least one, in seconds */
export function summarizeTimes(times: readonly number[]): RunTimes {
  const middle = median(times);
  return {
    median: middle,
    min: Math.min(...times),
    max: Math.max(...times),
    spread: (quantile(times, 0.75) - quantile(times, 0.25)) / 2 / middle,
    runs: times.length,
  };
}
