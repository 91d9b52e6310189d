/** A result as lines for a terminal. The protocol stands beside the numbers, because without it they mean little. */
import { METRICS, type Metric } from "../protocols/metrics.js";
import { describeProtocol } from "../protocols/resolve-protocol.js";
import type { EvaluationResult, MetricValue } from "../results/evaluation-result.js";
import { formatTable } from "./format-table.js";
import { formatSeconds, formatSpread, formatValue } from "./format-value.js";

/** The result in plain text. */
export function formatResult(result: EvaluationResult): string {
  const { subject, kind, pictures, metrics, missing, warnings, protocol, seconds, engine } = result;
  const rows = (Object.entries(metrics) as [Metric, MetricValue][]).map(([metric, value]) => {
    const spread = formatSpread(metric, value);
    const arrow = METRICS[metric].better === "higher" ? "higher is better" : "lower is better";
    const note = value.note === undefined ? "" : `; ${value.note}`;
    return [
      METRICS[metric].label,
      formatValue(metric, value.value),
      spread === "" ? "" : `std ${spread}`,
      `${arrow}${note}`,
    ];
  });
  const lines = [`${subject}: ${pictures.count} pictures of ${pictures.source}`, "", ...formatTable(rows)];
  for (const { metric, reason, hint } of missing) {
    lines.push(
      `${METRICS[metric].label.padEnd(widthOf(rows, 0))}  not computed: ${reason}${hint === undefined ? "" : ` (${hint})`}`,
    );
  }
  if (warnings.length > 0) lines.push("", ...warnings.map((text) => `warning: ${text}`));
  lines.push("", ...formatTable(describeProtocol(protocol, kind)), "", `${formatSeconds(seconds)} on ${engine}`);
  return lines.join("\n");
}

function widthOf(rows: readonly (readonly string[])[], column: number): number {
  return rows.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), 0);
}
