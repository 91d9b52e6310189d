/** One pass of the metric networks over a set of pictures: sums and vectors of the features that were asked for. */
import type { Engine } from "@dcae/core/runtime";
import type { Protocol } from "../protocols/protocol.js";
import type { PictureSource } from "../sources/picture-source.js";
import { evenBatch } from "./batches.js";
import type { Unusable } from "./check-pictures.js";
import { DEFAULT_CHUNK, runInChunks } from "./chunked-run.js";
import { computeFeatures, type Feature, planFeatures } from "./feature-plan.js";
import { createFeatureStore, type FeatureStore } from "./feature-store.js";
import { fingerprintsOf, type OpenedNetworks } from "./open-networks.node.js";
import { createProgramPool } from "./program-pool.js";
import type { RunOptions } from "./progress.js";

export interface ExtractOptions extends RunOptions {
  readonly stage: string;
  readonly source: PictureSource;
  readonly protocol: Protocol;
  readonly engine: Engine;
  readonly networks: OpenedNetworks;
  /** Features whose mean and covariance are needed. */
  readonly sums: ReadonlySet<Feature>;
  /** Features whose vectors are all needed. */
  readonly vectors: ReadonlySet<Feature>;
  readonly batchSize?: number | undefined;
}

export interface ExtractedFeatures {
  readonly count: number;
  readonly unusable: readonly Unusable[];
  readonly sizes: Readonly<Record<string, number>>;
  readonly store: FeatureStore;
}

/** Larger batches aren't faster on a CPU, and pictures before the resize may be large. */
const DEFAULT_BATCH = 16;
const MAX_BATCH_PIXELS = 2 ** 24;

export async function extractFeatures(options: ExtractOptions): Promise<ExtractedFeatures> {
  const { source, protocol, engine, networks, sums, vectors, batchSize } = options;
  const passes = planFeatures([...sums, ...vectors], protocol);
  const pool = createProgramPool(engine);
  const unusable: Unusable[] = [];
  const sizes: Record<string, number> = {};
  const store = createFeatureStore({ sums, vectors, capacity: source.count });
  let count = 0;
  const most = Math.min(source.count, options.chunkSize ?? DEFAULT_CHUNK);
  const sizeOf = (width: number, height: number) => {
    const fitting = Math.min(DEFAULT_BATCH, Math.max(Math.floor(MAX_BATCH_PIXELS / (width * height)), 1));
    return evenBatch(most, batchSize ?? fitting);
  };
  try {
    await runInChunks({
      ...options,
      key: {
        kind: "features",
        passes,
        // Cropping and decoding happen in the source; its fingerprint doesn't know them.
        pictures: { crop: protocol.crop, size: protocol.size, decoding: protocol.decoding },
        networks: passes.map(({ network }) => fingerprintsOf(networks.used, network)),
      },
      batchSize: sizeOf,
      compute: ({ pictures, width, height }) =>
        computeFeatures(
          passes,
          pictures.map(({ image }) => image),
          sizeOf(width, height),
          pool,
          networks.weights,
        ),
      consume(chunk) {
        count += chunk.names.length;
        unusable.push(...chunk.unusable);
        for (const [size, number] of Object.entries(chunk.sizes)) sizes[size] = (sizes[size] ?? 0) + number;
        for (const [feature, rows] of Object.entries(chunk.tensors)) store.add(feature, rows);
      },
    });
  } finally {
    await pool.dispose();
  }
  return { count, unusable, sizes, store };
}
