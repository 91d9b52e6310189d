/** Numbers as reports and terminals show them. */
import { METRICS, type Metric } from "../protocols/metrics.js";
import type { MetricValue } from "../results/evaluation-result.js";

/** A value with the metric's digits and unit, as in "26.1489 dB". */
export function formatValue(metric: Metric, value: number): string {
  const { digits, unit } = METRICS[metric];
  const number = Number.isFinite(value) ? value.toFixed(digits) : value > 0 ? "infinite" : String(value);
  return unit === "" ? number : `${number} ${unit}`;
}

/** The spread behind a value, or "". */
export function formatSpread(metric: Metric, { std }: MetricValue): string {
  return std === undefined || !Number.isFinite(std) ? "" : std.toFixed(METRICS[metric].digits);
}

/** A time in the largest fitting unit, as in "3 min 20 s". */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${Math.round(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
