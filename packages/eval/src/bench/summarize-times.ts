/** Median and spread of measured times. */
import type { BenchTimes } from "./bench-result.js";

/** The value below which a share of sorted numbers lies, linearly between neighbors. */
function quantile(sorted: readonly number[], share: number): number {
  const position = (sorted.length - 1) * share;
  const low = Math.floor(position);
  const [a, b] = [sorted[low] as number, sorted[Math.min(low + 1, sorted.length - 1)] as number];
  return a + (b - a) * (position - low);
}

/** @param times at least one, in seconds */
export function summarizeTimes(times: readonly number[]): BenchTimes {
  const sorted = [...times].sort((a, b) => a - b);
  const median = quantile(sorted, 0.5);
  return {
    median,
    min: sorted[0] as number,
    max: sorted.at(-1) as number,
    spread: (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / 2 / median,
    runs: times.length,
  };
}
