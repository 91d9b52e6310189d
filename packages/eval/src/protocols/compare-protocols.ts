/** Whether two numbers of one metric may stand in one table. */
import { DataError } from "@dcae/core";
import type { Metric } from "./metrics.js";
import { NOT_STATED, type Protocol } from "./protocol.js";

type Key = Exclude<keyof Protocol, "name" | "split">;

const PICTURES: readonly Key[] = ["crop", "size", "decoding", "rounding"];

/** The parts of a protocol that a metric depends on. */
const RELEVANT: Readonly<Record<Metric, readonly Key[]>> = {
  psnr: PICTURES,
  ssim: [...PICTURES, "ssimBorder"],
  lpips: [...PICTURES, "lpipsTrunk", "lpipsNorm"],
  rfid: [...PICTURES, "fidPipeline"],
  fid: [...PICTURES, "fidPipeline"],
  // Its layer is read from the TensorFlow pipeline, as ADM does, whatever FID uses.
  sfid: [...PICTURES, "scorePipeline"],
  is: [...PICTURES, "scorePipeline", "scoreSplits", "scoreSeed"],
  precision: [...PICTURES, "fidPipeline", "neighbors"],
  recall: [...PICTURES, "fidPipeline", "neighbors"],
  cmmd: PICTURES,
};

/** Metrics whose value depends on how many images went in. */
const COUNTED: ReadonlySet<Metric> = new Set(["rfid", "fid", "sfid", "is", "precision", "recall", "cmmd"]);

/** Metrics of pairs, whose pictures must be the same ones; the others need the same reference. */
const OF_PAIRS: ReadonlySet<Metric> = new Set(["psnr", "ssim", "lpips", "rfid"]);

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
  const reasons = RELEVANT[metric]
    .filter((key) => JSON.stringify(a.protocol[key]) !== JSON.stringify(b.protocol[key]))
    .map((key) => `${key} is ${JSON.stringify(a.protocol[key])} and ${JSON.stringify(b.protocol[key])}`);
  reasons.push(...differentData(metric, a, b));
  if (COUNTED.has(metric) && a.count !== b.count) reasons.push(`the numbers of images are ${a.count} and ${b.count}`);
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
  if (OF_PAIRS.has(metric)) return !areStated && differ(a.pictures, b.pictures) ? ["the pictures differ"] : [];
  // The inception score needs no reference.
  return metric !== "is" && differ(a.reference, b.reference) ? ["the references differ"] : [];
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
