/** A comparison of results as lines for a terminal. */
import { METRICS } from "../protocols/metrics.js";
import type { ComparedMetric, ComparedValue } from "../results/compare-results.js";
import { formatTable } from "./format-table.js";
import { formatValue } from "./format-value.js";

const signed = (value: number, digits: number) => `${value >= 0 ? "+" : ""}${value.toFixed(digits)}`;

function differenceOf(metric: ComparedMetric["metric"], { difference, paired, refused }: ComparedValue): string[] {
  if (refused !== undefined) return ["not comparable"];
  if (difference === undefined) return ["baseline"];
  const { better, digits } = METRICS[metric];
  // What the digits don't show is no difference to speak of.
  const isEqual = Math.abs(difference) < 0.5 * 10 ** -digits;
  const verdict = isEqual ? "equal" : difference > 0 === (better === "higher") ? "better" : "worse";
  const text = Number.isFinite(difference) ? `${signed(difference, digits)} ${verdict}` : verdict;
  if (paired === undefined) return [text];
  const error = paired.standardError.toFixed(digits);
  const isNoise = !isEqual && Math.abs(paired.mean) < 2 * paired.standardError;
  const certainty = isNoise ? "within 2 standard errors of " : "standard error ";
  return [text, `${certainty}${error}, better on ${(100 * paired.better).toFixed(0)} % of ${paired.count} pictures`];
}

/** @param names of the results, in their order */
export function formatComparison(compared: readonly ComparedMetric[], names: readonly string[]): string {
  const rows = compared.flatMap(({ metric, values }) =>
    values.map((value, i) => [
      i === 0 ? METRICS[metric].label : "",
      names[value.result] ?? "",
      formatValue(metric, value.value),
      ...(values.length === 1 ? ["only here"] : differenceOf(metric, value)),
    ]),
  );
  const reasons = compared.flatMap(({ metric, baseline, values }) =>
    values.flatMap(({ result, refused }) =>
      refused === undefined
        ? []
        : [`${METRICS[metric].label} of ${names[baseline]} and ${names[result]}: ${refused.join("; ")}`],
    ),
  );
  return [...formatTable(rows), ...(reasons.length > 0 ? ["", ...reasons] : [])].join("\n");
}
