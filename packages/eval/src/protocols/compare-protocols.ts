/** Whether two numbers of one metric may stand in one table. */
import { DataError } from "@dcae/core";
import { METRICS, type Metric, type ProtocolPart } from "./metrics.js";
import { NOT_STATED, type Protocol } from "./protocol.js";

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
