/** What an evaluation gives: numbers with everything that is needed to judge and repeat them. Plain data, stored as JSON. */
import { availableParallelism, cpus, totalmem } from "node:os";
import type { Metric } from "../protocols/metrics.js";
import type { Protocol } from "../protocols/protocol.js";
import type { Unusable } from "../runners/check-pictures.js";
import type { MissingMetric, UsedNetwork } from "../runners/open-networks.node.js";

export interface MetricValue {
  /** May be Infinity (the PSNR of identical pictures); written to JSON as "Infinity". */
  readonly value: number;
  /** Spread over pictures or parts, population standard deviation. */
  readonly std?: number;
  /** Pictures that went in. */
  readonly count: number;
  /** Said beside the value. */
  readonly note?: string;
}

/** Values per picture, in the order of `names`. */
export interface PerPicture {
  readonly names: readonly string[];
  /** Positions in the source, which pictures that couldn't be read have too. */
  readonly indices: readonly number[];
  readonly values: Readonly<Partial<Record<Metric, readonly number[]>>>;
}

/** Where the numbers were computed. */
export interface Machine {
  readonly platform: string;
  readonly cpu: string;
  readonly threads: number;
  readonly memoryGiB: number;
  readonly node: string;
}

export interface EvaluationResult {
  readonly formatVersion: 1;
  readonly kind: "reconstruction" | "generation";
  /** ISO 8601. */
  readonly date: string;
  /** The model or set of samples that was judged. */
  readonly subject: string;
  /** Of the weights of the model that was judged, or of the samples. */
  readonly subjectFingerprint: string;
  /** How the subject made its pictures, where it isn't told by its name: guidance, steps, seed. */
  readonly settings?: Readonly<Record<string, string | number>>;
  readonly pictures: {
    readonly source: string;
    /** Equal for the same pictures, wherever they lie. */
    readonly fingerprint: string;
    /** How many could be used. */
    readonly count: number;
    /** How many of which size, as in { "512x512": 5000 }. */
    readonly sizes: Readonly<Record<string, number>>;
    readonly unusable: readonly Unusable[];
  };
  /** What the pictures were compared with, where that isn't themselves. */
  readonly reference?: {
    readonly name: string;
    readonly fingerprint: string;
    /** How many of its pictures couldn't be used; 0 for statistics. */
    readonly unusable: number;
  };
  readonly protocol: Protocol;
  readonly metrics: Readonly<Partial<Record<Metric, MetricValue>>>;
  readonly missing: readonly MissingMetric[];
  readonly warnings: readonly string[];
  readonly networks: readonly UsedNetwork[];
  /** Moments of the latents (training.md section 10); 1 / rms is the scaling factor of diffusion models. */
  readonly latent?: { readonly mean: number; readonly rms: number; readonly std: number; readonly count: number };
  readonly perPicture?: PerPicture;
  readonly engine: string;
  readonly machine: Machine;
  readonly seconds: number;
}

export function thisMachine(): Machine {
  return {
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    threads: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
  };
}
