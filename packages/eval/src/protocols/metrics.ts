/** The metrics by name: what they mean, which direction is better, which networks they need. */
import { ConfigError } from "@dcae/core";
import type { Protocol } from "./protocol.js";

export type MetricNetwork = "inception" | "lpips-alex" | "lpips-vgg" | "clip";

/** The parts of a protocol that may change a number. */
export type ProtocolPart = Exclude<keyof Protocol, "name" | "split">;

export interface MetricInfo {
  readonly label: string;
  readonly better: "higher" | "lower";
  /** "" for plain numbers. */
  readonly unit: string;
  /** Digits behind the point in tables. */
  readonly digits: number;
  /** Which evaluation has it: of models (pictures and what became of them), or of generators. */
  readonly judges: "reconstruction" | "generation";
  /** Whether it is a mean over pictures or a number of the whole set, which depends on how many there are. */
  readonly of: "picture" | "set";
  /** What samples are compared with: statistics will do, or it takes pictures; null: nothing. Reconstructions have their pictures. */
  readonly reference: "statistics" | "pictures" | null;
  /** The network it is computed with; that of LPIPS has the trunk of the protocol. */
  readonly network: "inception" | "lpips" | "clip" | null;
  /** Parts of a protocol besides those that prepare pictures that change it: numbers with different ones don't compare. */
  readonly depends: readonly ProtocolPart[];
}

const pair = { judges: "reconstruction", of: "picture", reference: null, unit: "" } as const;
const generation = {
  judges: "generation",
  of: "set",
  reference: "statistics",
  network: "inception",
  unit: "",
} as const;
const lower = (label: string) => ({ label, better: "lower", digits: 4 }) as const;
const higher = (label: string) => ({ label, better: "higher", digits: 4 }) as const;

/** A row for each metric, in the order of tables. */
export const METRICS = {
  psnr: { ...higher("PSNR"), ...pair, unit: "dB", network: null, depends: [] },
  ssim: { ...higher("SSIM"), ...pair, network: null, depends: ["ssimBorder"] },
  lpips: { ...lower("LPIPS"), ...pair, network: "lpips", depends: ["lpipsTrunk", "lpipsNorm"] },
  rfid: { ...lower("rFID"), ...pair, of: "set", network: "inception", depends: ["fidPipeline"] },
  fid: { ...lower("FID"), ...generation, depends: ["fidPipeline"] },
  // Its layer is read from the TensorFlow pipeline, as ADM does, whatever FID uses.
  sfid: { ...lower("sFID"), ...generation, depends: ["scorePipeline"] },
  is: {
    ...{ ...higher("Inception score"), ...generation, digits: 3, reference: null },
    depends: ["scorePipeline", "scoreSplits", "scoreSeed"],
  },
  precision: { ...higher("Precision"), ...generation, reference: "pictures", depends: ["fidPipeline", "neighbors"] },
  recall: { ...higher("Recall"), ...generation, reference: "pictures", depends: ["fidPipeline", "neighbors"] },
  cmmd: { ...lower("CMMD"), ...generation, reference: "pictures", network: "clip", depends: [] },
} as const satisfies Record<string, MetricInfo>;

/** Names of metrics. */
export type Metric = keyof typeof METRICS;

type MetricOf<J extends MetricInfo["judges"]> = {
  [M in Metric]: (typeof METRICS)[M]["judges"] extends J ? M : never;
}[Metric];
export type ReconstructionMetric = MetricOf<"reconstruction">;
export type GenerationMetric = MetricOf<"generation">;

function metricsOf<J extends MetricInfo["judges"]>(judges: J): readonly MetricOf<J>[] {
  return (Object.keys(METRICS) as Metric[]).filter((metric) => METRICS[metric].judges === judges) as MetricOf<J>[];
}
export const RECONSTRUCTION_METRICS = metricsOf("reconstruction");
export const GENERATION_METRICS = metricsOf("generation");

/**
 * The metrics of a list of names, each once, in the order of `known`.
 *
 * @throws ConfigError for names that aren't among `known`, or an empty list
 */
export function checkMetrics<M extends Metric>(names: readonly string[], known: readonly M[]): M[] {
  const unknown = names.find((name) => !(known as readonly string[]).includes(name));
  if (unknown !== undefined || names.length === 0) {
    throw new ConfigError(unknown === undefined ? "metrics: none are named" : `metrics: "${unknown}" is unknown here`, {
      hint: `Use ${known.join(", ")}.`,
    });
  }
  return known.filter((metric) => names.includes(metric));
}
