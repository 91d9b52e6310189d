/** A result as lines for a terminal. The protocol stands beside the numbers, because without it they mean little. */
import { METRICS, type Metric } from "../protocols/metrics.js";
import { describeProtocol } from "../protocols/resolve-protocol.js";
import type { EvaluationResult, MetricValue } from "../results/evaluation-result.js";
import { formatTable } from "./format-table.js";
import { formatSeconds, formatSpread, formatValue } from "./format-value.js";

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
  const set = `${count} picture${count === 1 ? "" : "s"}${source === subject ? "" : ` of ${source}`}`;
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
