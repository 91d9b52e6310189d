/**
 * Which network outputs a set of metrics needs, as few passes as possible, how a batch of pictures becomes rows of them, and where the
 * rows go: sums for distances, and the vectors themselves where a metric needs all of them.
 */
import type { Image, Tensor } from "@dcae/core";
import type { Weights } from "@dcae/core/checkpoint";
import type { Program } from "@dcae/core/graph";
import type { ProgramCache } from "@dcae/core/internal";
import type { VectorSet } from "../metrics/pairwise.js";
import { clipProgram } from "../networks/clip-vision.js";
import { type InceptionOutput, type InceptionPipeline, inceptionProgram } from "../networks/inception.js";
import { picturesToTensor } from "../networks/pictures.js";
import { type GenerationMetric, METRICS, type Metric, type MetricNetwork } from "../protocols/metrics.js";
import type { Protocol } from "../protocols/protocol.js";
import { createFeatureAccumulator, type FeatureAccumulator } from "../statistics/feature-accumulator.js";

/** Programs of the metrics that stay loaded; pictures mostly have one size. */
export const MAX_PROGRAMS = 6;

/** A kind of feature vector. */
export type Feature = "pool" | "logits" | "spatial" | "clip";

/** One program and what it gives. */
interface FeaturePass {
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
  pool: ProgramCache,
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

export interface FeatureStore {
  /** Adds rows of one kind. */
  add(feature: string, rows: Tensor): void;
  /** The sums of a kind that was asked for, once it had rows. */
  sums(feature: string): FeatureAccumulator | undefined;
  /** The vectors of a kind that was asked for, once it had rows. */
  vectors(feature: string): VectorSet | undefined;
}

interface FeatureStoreOptions {
  /** Kinds whose mean and covariance are needed. */
  readonly sums: ReadonlySet<string>;
  /** Kinds whose vectors are needed. */
  readonly vectors: ReadonlySet<string>;
  /** Most rows of a kind. */
  readonly capacity: number;
}

export function createFeatureStore(options: FeatureStoreOptions): FeatureStore {
  const accumulators = new Map<string, FeatureAccumulator>();
  const buffers = new Map<string, { data: Float32Array; used: number; readonly dimensions: number }>();
  return {
    add(feature, rows) {
      const dimensions = rows.shape[1] as number;
      const values = rows.toFloat32();
      if (options.sums.has(feature)) {
        const accumulator = accumulators.get(feature) ?? createFeatureAccumulator(dimensions);
        accumulators.set(feature, accumulator);
        accumulator.add(values);
      }
      if (options.vectors.has(feature)) {
        // One allocation of the final size: growing would need twice the memory.
        const buffer = buffers.get(feature) ?? {
          data: new Float32Array(options.capacity * dimensions),
          used: 0,
          dimensions,
        };
        buffers.set(feature, buffer);
        buffer.data.set(values, buffer.used);
        buffer.used += values.length;
      }
    },
    sums: (feature) => accumulators.get(feature),
    vectors(feature) {
      const buffer = buffers.get(feature);
      return buffer && { data: buffer.data.subarray(0, buffer.used), dimensions: buffer.dimensions };
    },
  };
}

/** Undefined for metrics that need none. */
export function networkOfMetric(
  metric: Metric,
  { lpipsTrunk }: Pick<Protocol, "lpipsTrunk">,
): MetricNetwork | undefined {
  const { network } = METRICS[metric];
  if (network === "lpips") return lpipsTrunk === "vgg" ? "lpips-vgg" : "lpips-alex";
  return network ?? undefined;
}
