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
  const verdict = difference === 0 ? "equal" : difference > 0 === (better === "higher") ? "better" : "worse";
  const text = Number.isFinite(difference) ? `${signed(difference, digits)} ${verdict}` : verdict;
  if (paired === undefined) return [text];
  const error = paired.standardError.toFixed(digits);
  return [text, `standard error ${error}, better on ${(100 * paired.better).toFixed(0)} % of ${paired.count} pictures`];
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
