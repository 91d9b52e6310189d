/** Results side by side: each metric against the first result that has it, or the reasons why that would mean nothing. */
import { ConfigError, DataError } from "@dcae/core";
import { fingerprintsOf } from "../networks/find-network.node.js";
import { METRICS, type Metric, type ProtocolPart } from "../protocols/metrics.js";
import { NOT_STATED, type Protocol } from "../protocols/protocol.js";
import { networkOfMetric } from "../runners/feature-plan.js";
import type { EvaluationResult } from "./evaluation-result.node.js";

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

/** A metric of several results, with the differences to the first. */
export interface ComparedMetric {
  readonly metric: Metric;
  /** The first result that has the metric. */
  readonly baseline: number;
  /** Of the results that have the metric, in their order. */
  readonly values: readonly ComparedValue[];
}

/** What a metric of a result was measured with. */
function measuredOf(result: EvaluationResult, metric: Metric): Measured {
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

// Whether two numbers of one metric may stand in one table.

/** They decide which pictures a metric sees, whatever it is. */
const PICTURES: readonly ProtocolPart[] = ["crop", "size", "decoding", "rounding"];

/** What a number was measured with. */
export interface Measured {
  readonly protocol: Protocol;
  readonly count: number;
  /** Fingerprint of the pictures that went through a model. */
  readonly pictures?: string | undefined;
  /** Fingerprint of what samples were compared with. */
  readonly reference?: string | undefined;
  /** Fingerprints of the networks that the metric uses. */
  readonly networks?: readonly string[];
}

/** Why two values of `metric` can't be compared, one line per reason; empty when they can. */
export function incomparableBecause(metric: Metric, a: Measured, b: Measured): string[] {
  const reasons = [...PICTURES, ...METRICS[metric].depends]
    .filter((key) => JSON.stringify(a.protocol[key]) !== JSON.stringify(b.protocol[key]))
    .map((key) => `${key} is ${JSON.stringify(a.protocol[key])} and ${JSON.stringify(b.protocol[key])}`);
  reasons.push(...differentData(metric, a, b));
  if (METRICS[metric].of === "set" && a.count !== b.count)
    reasons.push(`the numbers of images are ${a.count} and ${b.count}`);
  const [first, second] = [a.networks ?? [], b.networks ?? []].map((list) => [...list].sort().join(" "));
  if (first !== "" && second !== "" && first !== second) reasons.push("the weights of the metric's network differ");
  return reasons;
}

/** Words say which data it is where somebody has written them down; otherwise the files do. */
function differentData(metric: Metric, a: Measured, b: Measured): string[] {
  const { split } = a.protocol;
  const areStated = split !== NOT_STATED && b.protocol.split !== NOT_STATED;
  if (areStated && split !== b.protocol.split) {
    return [`split is ${JSON.stringify(split)} and ${JSON.stringify(b.protocol.split)}`];
  }
  const differ = (x: string | undefined, y: string | undefined) => x !== undefined && y !== undefined && x !== y;
  if (METRICS[metric].judges === "reconstruction")
    return !areStated && differ(a.pictures, b.pictures) ? ["the pictures differ"] : [];
  return METRICS[metric].reference !== null && differ(a.reference, b.reference) ? ["the references differ"] : [];
}

/**
 * Refuses a comparison that means nothing.
 *
 * @throws DataError with the reasons
 */
export function checkComparable(metric: Metric, a: Measured, b: Measured): void {
  const reasons = incomparableBecause(metric, a, b);
  if (reasons.length > 0) {
    throw new DataError(`two values of ${metric} can't be compared: ${reasons.join("; ")}`, {
      hint: "Measure both with one protocol.",
    });
  }
}
