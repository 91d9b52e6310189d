/** Reference statistics of a set of pictures, or of one shard of it, as a file. */
import type { Engine } from "@dcae/core/runtime";
import type { FindNetworkOptions } from "../networks/find-network.node.js";
import { findNetwork } from "../networks/find-network.node.js";
import type { Protocol } from "../protocols/protocol.js";
import type { PictureSource, Shard } from "../sources/picture-source.js";
import { countWarnings, writeStatistics } from "../statistics/statistics-file.node.js";
import { nothingUsable, pictureWarnings, type Unusable } from "./check-pictures.js";
import { extractFeatures } from "./extract-features.node.js";
import { type UsedNetwork, unverified } from "./open-networks.node.js";
import type { RunOptions } from "./progress.js";

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

export interface ComputedStatistics {
  readonly out: string;
  readonly count: number;
  readonly sizes: Readonly<Record<string, number>>;
  readonly unusable: readonly Unusable[];
  readonly warnings: readonly string[];
  readonly networks: readonly UsedNetwork[];
}

/**
 * Mean and covariance of the FID features of all pictures, with the exact sums beside them (see `mergeStatistics`).
 *
 * @throws MissingWeightsError without the FID network; DataError when no two pictures can be read
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
