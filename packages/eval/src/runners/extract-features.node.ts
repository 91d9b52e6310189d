/**
 * One pass of the metric networks over a set of pictures: sums and vectors of the features that were asked for, or the reference
 * statistics of the set, or of one shard of it, as a file.
 */
import { createProgramCache } from "@dcae/core/internal";
import type { Engine } from "@dcae/core/runtime";
import {
  type FindNetworkOptions,
  findNetwork,
  fingerprintsOf,
  type OpenedNetworks,
  type UsedNetwork,
  unverified,
} from "../networks/find-network.node.js";
import type { Protocol } from "../protocols/protocol.js";
import {
  nothingUsable,
  type PictureSource,
  pictureWarnings,
  type Shard,
  type Unusable,
} from "../sources/picture-source.js";
import { countWarnings, writeStatistics } from "../statistics/statistics-file.node.js";
import { DEFAULT_CHUNK, evenBatch, type RunOptions, runInChunks } from "./chunked-run.node.js";
import {
  computeFeatures,
  createFeatureStore,
  type Feature,
  type FeatureStore,
  MAX_PROGRAMS,
  planFeatures,
} from "./feature-plan.js";

interface ExtractOptions extends RunOptions {
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
  /** Whether only the chunks of `part` are computed, and nothing is given back (default false). */
  readonly partOnly?: boolean;
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
  const pool = createProgramCache(engine, "the metrics", MAX_PROGRAMS);
  const unusable: Unusable[] = [];
  const sizes: Record<string, number> = {};
  const store = createFeatureStore({ sums, vectors, capacity: options.partOnly === true ? 0 : source.count });
  let count = 0;
  // Of the whole set: the last bits of features may depend on the batch that a program is made for.
  const most = Math.min(source.setCount ?? source.count, options.chunkSize ?? DEFAULT_CHUNK);
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

/** Options of `computeStatistics`. */
export interface StatisticsOptions extends RunOptions {
  /** The pictures; of a sharded run only those of the shard (see `folderSource`). */
  readonly source: PictureSource;
  /** Which part of the set `source` is. */
  readonly shard?: Shard | undefined;
  readonly protocol: Protocol;
  readonly engine: Engine;
  readonly weights?: FindNetworkOptions | undefined;
  readonly batchSize?: number | undefined;
  /** The .npz file to write. */
  readonly out: string;
}

/** What `computeStatistics` wrote. */
export interface ComputedStatistics {
  readonly out: string;
  readonly count: number;
  readonly sizes: Readonly<Record<string, number>>;
  readonly unusable: readonly Unusable[];
  readonly warnings: readonly string[];
  readonly networks: readonly UsedNetwork[];
}

/**
 * Mean and covariance of the FID features of all pictures, with the exact sums beside them (see `mergeStatistics`); of a shard of one
 * picture the sums alone.
 *
 * @throws MissingWeightsError without the FID network; DataError when no two pictures can be read (of a shard: none)
 */
export async function computeStatistics(options: StatisticsOptions): Promise<ComputedStatistics> {
  const { source, protocol, shard = { index: 0, of: 1 }, out } = options;
  const found = await findNetwork("inception", options.weights);
  const networks = {
    weights: new Map([["inception" as const, found.weights]]),
    used: [{ network: found.network, files: found.files }],
    missing: [],
    warnings: [],
    close: () => found.weights.close(),
  };
  try {
    const { count, unusable, sizes, store } = await extractFeatures({
      ...options,
      stage: "statistics",
      networks,
      sums: new Set(["pool" as const]),
      vectors: new Set(),
    });
    const sums = store.sums("pool");
    if (sums === undefined) throw nothingUsable(source, unusable);
    const warnings = pictureWarnings(source, unusable, sizes);
    for (const { path, published } of found.files) if (!published) warnings.push(unverified(path));
    await writeStatistics(out, sums, {
      protocol,
      pipeline: protocol.fidPipeline,
      networks: found.files.map(({ sha256 }) => sha256),
      source: source.name,
      set: source.setFingerprint,
      shards: [shard],
      sizes,
      warnings,
    });
    // Said here, not stored: whoever uses the file knows the count, and a shard is only a part.
    const ofCount = shard.of === 1 ? countWarnings(count, sums.dimensions) : [];
    return { out, count, sizes, unusable, warnings: [...warnings, ...ofCount], networks: networks.used };
  } finally {
    await networks.close();
  }
}
