/** The metrics by name: what they mean, which direction is better, which networks they need. */
import { ConfigError } from "@dcae/core";

export type MetricNetwork = "inception" | "lpips-alex" | "lpips-vgg" | "clip";

export interface MetricInfo {
  readonly label: string;
  readonly better: "higher" | "lower";
  /** "" for plain numbers. */
  readonly unit: string;
  /** Digits behind the point in tables. */
  readonly digits: number;
}

const info = (label: string, better: "higher" | "lower", digits: number, unit = ""): MetricInfo => ({
  label,
  better,
  unit,
  digits,
});

export const METRICS = {
  psnr: info("PSNR", "higher", 4, "dB"),
  ssim: info("SSIM", "higher", 4),
  lpips: info("LPIPS", "lower", 4),
  rfid: info("rFID", "lower", 4),
  fid: info("FID", "lower", 4),
  sfid: info("sFID", "lower", 4),
  is: info("Inception score", "higher", 3),
  precision: info("Precision", "higher", 4),
  recall: info("Recall", "higher", 4),
  cmmd: info("CMMD", "lower", 4),
} as const satisfies Record<string, MetricInfo>;

export type Metric = keyof typeof METRICS;

export const RECONSTRUCTION_METRICS = ["psnr", "ssim", "lpips", "rfid"] as const satisfies readonly Metric[];
export const GENERATION_METRICS = [
  "fid",
  "sfid",
  "is",
  "precision",
  "recall",
  "cmmd",
] as const satisfies readonly Metric[];

export type ReconstructionMetric = (typeof RECONSTRUCTION_METRICS)[number];
export type GenerationMetric = (typeof GENERATION_METRICS)[number];

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
