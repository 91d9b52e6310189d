/**
 * Results and comparisons of them as lines for a terminal. The protocol stands beside the numbers, because without it they mean
 * little.
 */
import { formatTable, plural } from "@dcae/core/internal";
import { METRICS, type Metric } from "../protocols/metrics.js";
import { describeProtocol } from "../protocols/protocol.js";
import type { ComparedMetric, ComparedValue } from "../results/compare-results.js";
import type { EvaluationResult, MetricValue } from "../results/evaluation-result.node.js";

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

/** Pictures whose problem is shown; all of them stand in the result's JSON. */
const MAX_SHOWN = 10;

/** The result in plain text. */
export function formatResult(result: EvaluationResult): string {
  const { subject, settings, kind, pictures, reference, metrics, missing, warnings, protocol, seconds, engine } =
    result;
  const labels = [...(Object.keys(metrics) as Metric[]), ...missing.map(({ metric }) => metric)];
  const width = Math.max(0, ...labels.map((metric) => METRICS[metric].label.length));
  const rows = (Object.entries(metrics) as [Metric, MetricValue][]).map(([metric, value]) => {
    const spread = formatSpread(metric, value);
    const arrow = METRICS[metric].better === "higher" ? "higher is better" : "lower is better";
    const note = value.note === undefined ? "" : `; ${value.note}`;
    return [
      METRICS[metric].label.padEnd(width),
      formatValue(metric, value.value),
      spread === "" ? "" : `std ${spread}`,
      `${arrow}${note}`,
    ];
  });
  const { count, source, unusable } = pictures;
  const set = `${plural(count, "picture")}${source === subject ? "" : ` of ${source}`}`;
  const against = reference === undefined ? "" : `, compared with ${reference.name}`;
  const lines = [`${subject}: ${set}${against}`, "", ...formatTable(rows)];
  for (const { metric, reason, hint } of missing) {
    lines.push(`${METRICS[metric].label.padEnd(width)}  not computed: ${reason}`);
    if (hint !== undefined) lines.push(`${" ".repeat(width)}  ${hint}`);
  }
  if (warnings.length > 0) lines.push("", ...warnings.map((text) => `warning: ${text}`));
  lines.push(...unusable.slice(0, MAX_SHOWN).map(({ name, problem }) => `left out: ${name}: ${problem}`));
  if (settings !== undefined) {
    lines.push("", ...formatTable(Object.entries(settings).map(([what, value]) => [what, String(value)])));
  }
  lines.push("", ...formatTable(describeProtocol(protocol, kind)), "", `${formatSeconds(seconds)} on ${engine}`);
  return lines.join("\n");
}

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
  return [
    text,
    `${certainty}${error}, better on ${(100 * paired.better).toFixed(0)} % of ${plural(paired.count, "picture")}`,
  ];
}

/** @param names of the results, in their order */
/** Results side by side as a table of text. */
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
