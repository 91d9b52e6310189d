/** Results side by side: each metric against the first result that has it, or the reasons why that would mean nothing. */
import { ConfigError } from "@dcae/core";
import { incomparableBecause, type Measured } from "../protocols/compare-protocols.js";
import { METRICS, type Metric } from "../protocols/metrics.js";
import { networkOfMetric } from "../runners/feature-plan.js";
import { fingerprintsOf } from "../runners/open-networks.node.js";
import type { EvaluationResult } from "./evaluation-result.js";

/** The difference picture by picture, where both results have the same pictures. */
export interface PairedDifference {
  readonly count: number;
  readonly mean: number;
  /** Of the mean: what another draw of pictures would change it by. */
  readonly standardError: number;
  /** Share of the pictures for which this result is the better one. */
  readonly better: number;
}

export interface ComparedValue {
  /** Position of the result in the list that was given. */
  readonly result: number;
  readonly value: number;
  /** To the baseline; absent for the baseline itself and where it is refused. */
  readonly difference?: number;
  readonly paired?: PairedDifference;
  /** Why it can't be compared with the baseline, one line per reason. */
  readonly refused?: readonly string[];
}

export interface ComparedMetric {
  readonly metric: Metric;
  /** The first result that has the metric. */
  readonly baseline: number;
  /** Of the results that have the metric, in their order. */
  readonly values: readonly ComparedValue[];
}

/** What a metric of a result was measured with. */
export function measuredOf(result: EvaluationResult, metric: Metric): Measured {
  const { protocol, metrics, networks, pictures, reference, kind } = result;
  const network = networkOfMetric(metric, protocol);
  return {
    protocol,
    count: metrics[metric]?.count ?? 0,
    networks: network === undefined ? [] : fingerprintsOf(networks, network),
    pictures: kind === "reconstruction" ? pictures.fingerprint : undefined,
    reference: reference?.fingerprint,
  };
}

/**
 * Compares results metric by metric.
 *
 * @throws ConfigError for fewer than two results, or results without a common metric
 */
export function compareResults(results: readonly EvaluationResult[]): ComparedMetric[] {
  if (results.length < 2) throw new ConfigError(`compare: needs at least two results, got ${results.length}`);
  const compared: ComparedMetric[] = [];
  for (const metric of Object.keys(METRICS) as Metric[]) {
    const having = results.flatMap((result, i) => (result.metrics[metric] === undefined ? [] : [i]));
    const [baseline] = having;
    if (baseline === undefined) continue;
    const values = having.map((i) => compareOne(metric, results, baseline, i));
    compared.push({ metric, baseline, values });
  }
  if (!compared.some(({ values }) => values.length > 1)) {
    throw new ConfigError("compare: the results have no metric in common");
  }
  return compared;
}

function compareOne(
  metric: Metric,
  results: readonly EvaluationResult[],
  baseline: number,
  result: number,
): ComparedValue {
  const [a, b] = [results[baseline], results[result]] as [EvaluationResult, EvaluationResult];
  const [from, value] = [a.metrics[metric]?.value ?? Number.NaN, b.metrics[metric]?.value ?? Number.NaN];
  if (result === baseline) return { result, value };
  const refused = incomparableBecause(metric, measuredOf(a, metric), measuredOf(b, metric));
  if (refused.length > 0) return { result, value, refused };
  // Two infinite PSNRs are equal, and their difference isn't a number.
  const difference = value === from ? 0 : value - from;
  const paired = pairedDifference(metric, a, b);
  return { result, value, difference, ...(paired && { paired }) };
}

function pairedDifference(metric: Metric, a: EvaluationResult, b: EvaluationResult): PairedDifference | undefined {
  const [first, second] = [a.perPicture?.values[metric], b.perPicture?.values[metric]];
  const names = b.perPicture?.names ?? [];
  if (first === undefined || second === undefined || a.perPicture?.names.join("\n") !== names.join("\n")) {
    return undefined;
  }
  const differences = second.map((value, i) => (value === first[i] ? 0 : value - (first[i] as number)));
  const count = differences.length;
  if (count < 2 || !differences.every(Number.isFinite)) return undefined;
  const mean = differences.reduce((sum, value) => sum + value, 0) / count;
  const variance = differences.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  const sign = METRICS[metric].better === "higher" ? 1 : -1;
  const better = differences.filter((value) => sign * value > 0).length / count;
  return { count, mean, standardError: Math.sqrt(variance / count), better };
}
