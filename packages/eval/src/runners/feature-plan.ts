/** Which network outputs a set of metrics needs, as few passes as possible, and how a batch of pictures becomes rows of them. */
import type { Image, Tensor } from "@dcae/core";
import type { Weights } from "@dcae/core/checkpoint";
import type { Program } from "@dcae/core/graph";
import { clipProgram } from "../networks/clip-vision.js";
import { type InceptionOutput, type InceptionPipeline, inceptionProgram } from "../networks/inception-program.js";
import { picturesToTensor } from "../networks/pictures.js";
import type { GenerationMetric, MetricNetwork } from "../protocols/metrics.js";
import type { Protocol } from "../protocols/protocol.js";
import type { ProgramPool } from "./program-pool.js";

/** A kind of feature vector. */
export type Feature = "pool" | "logits" | "spatial" | "clip";

/** One program and what it gives. */
export interface FeaturePass {
  readonly network: MetricNetwork;
  /** undefined for CLIP, which has one. */
  readonly pipeline: InceptionPipeline | undefined;
  readonly outputs: readonly Feature[];
}

/** The features that a metric is computed from. */
export const FEATURE_OF: Readonly<Record<GenerationMetric, Feature>> = {
  fid: "pool",
  precision: "pool",
  recall: "pool",
  is: "logits",
  sfid: "spatial",
  cmmd: "clip",
};

/** The network that gives a feature. */
export function networkOf(feature: Feature): MetricNetwork {
  return feature === "clip" ? "clip" : "inception";
}

/** The passes that give `features`; outputs of one pipeline share a pass. */
export function planFeatures(features: Iterable<Feature>, protocol: Protocol): FeaturePass[] {
  const passes = new Map<
    string,
    { network: MetricNetwork; pipeline: InceptionPipeline | undefined; outputs: Feature[] }
  >();
  for (const feature of new Set(features)) {
    const network = networkOf(feature);
    const pipeline =
      feature === "clip" ? undefined : feature === "pool" ? protocol.fidPipeline : protocol.scorePipeline;
    const key = `${network} ${pipeline}`;
    const pass = passes.get(key) ?? { network, pipeline, outputs: [] };
    pass.outputs.push(feature);
    passes.set(key, pass);
  }
  return [...passes.values()];
}

function buildPass({ pipeline, outputs }: FeaturePass, count: number, height: number, width: number): Program {
  if (pipeline === undefined) return clipProgram(count, height, width);
  return inceptionProgram({ count, height, width, pipeline, outputs: outputs as readonly InceptionOutput[] });
}

/**
 * Feature rows of pictures of one size.
 *
 * @param size batch of the programs; fewer pictures are filled up, so that the rest of a set needs no program of its own
 */
export async function computeFeatures(
  passes: readonly FeaturePass[],
  images: readonly Image[],
  size: number,
  pool: ProgramPool,
  weights: ReadonlyMap<MetricNetwork, Weights>,
): Promise<Record<string, Tensor>> {
  const pictures = picturesToTensor(images, size);
  const [, height, width] = pictures.shape as [number, number, number];
  const rows: Record<string, Tensor> = {};
  for (const pass of passes) {
    const key = `${pass.network} ${pass.pipeline} ${pass.outputs.join("+")} ${pictures.shape.join("x")}`;
    const source = weights.get(pass.network) as Weights;
    const results = await pool.run(key, () => buildPass(pass, size, height, width), source, { pictures });
    for (const feature of pass.outputs) {
      const values = results[feature === "clip" ? "embedding" : feature] as Tensor;
      rows[feature] = values.slice([{ stop: images.length }]);
    }
  }
  return rows;
}
