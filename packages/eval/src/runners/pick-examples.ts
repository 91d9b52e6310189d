/** The worst and best reconstructions of a run, made again for a report. */
import type { Image } from "@dcae/core";
import { METRICS, type ReconstructionMetric } from "../protocols/metrics.js";
import type { EvaluationResult, PerPicture } from "../results/evaluation-result.node.js";
import type { PictureSource } from "../sources/picture-source.js";
import { type Reconstructor, reconstructBatch } from "./evaluate-reconstruction.node.js";

export interface Example {
  readonly rank: "worst" | "best";
  /** The metric that the order is by. */
  readonly rankedBy: ReconstructionMetric;
  readonly name: string;
  readonly original: Image;
  readonly reconstruction: Image;
  readonly values: Readonly<Partial<Record<ReconstructionMetric, number>>>;
}

/** What pictures are ordered by: the measure closest to the eye that was computed. */
const ORDER: readonly ReconstructionMetric[] = ["lpips", "ssim", "psnr"];

interface ExampleChoice {
  readonly metric: ReconstructionMetric;
  /** Positions in the result's lists, worst first; best first. */
  readonly worst: readonly number[];
  readonly best: readonly number[];
}

/** The `count` worst and best pictures; none is in both. Undefined without a metric per picture. */
export function chooseExamples({ names, values }: PerPicture, count: number): ExampleChoice | undefined {
  const metric = ORDER.find((name) => values[name] !== undefined);
  if (metric === undefined) return undefined;
  const list = values[metric] as readonly number[];
  const sign = METRICS[metric].better === "higher" ? 1 : -1;
  // Ties (two identical pictures have the same infinite PSNR) go by position.
  const compare = (a: number, b: number) => {
    const [x, y] = [list[a] as number, list[b] as number];
    return x === y ? a - b : sign * (x < y ? -1 : 1);
  };
  const order = names.map((_, i) => i).sort(compare);
  const worst = order.slice(0, Math.min(count, Math.ceil(order.length / 2)));
  const best = order.slice(worst.length).reverse().slice(0, count);
  return { metric, worst, best };
}

export interface ExampleOptions {
  readonly source: PictureSource;
  readonly model: Reconstructor;
  readonly result: EvaluationResult;
  /** Of each kind (default 4). */
  readonly count?: number;
}

/** Reads the chosen pictures and reconstructs them once more. */
export async function makeExamples({ source, model, result, count = 4 }: ExampleOptions): Promise<Example[]> {
  const { perPicture, protocol } = result;
  const choice = perPicture && chooseExamples(perPicture, count);
  if (perPicture === undefined || choice === undefined) return [];
  const examples: Example[] = [];
  for (const rank of ["worst", "best"] as const) {
    for (const position of choice[rank]) {
      const original = await readOne(source, perPicture.indices[position] as number);
      if (original === undefined) continue;
      const { images } = await reconstructBatch(model, [original], 1, protocol);
      const values = Object.entries(perPicture.values).map(([metric, list]) => [metric, list[position]]);
      examples.push({
        rank,
        rankedBy: choice.metric,
        name: perPicture.names[position] as string,
        original,
        reconstruction: images[0] as Image,
        values: Object.fromEntries(values),
      });
    }
  }
  return examples;
}

async function readOne(source: PictureSource, index: number): Promise<Image | undefined> {
  for await (const { image } of source.read(index)) return image;
  return undefined;
}
