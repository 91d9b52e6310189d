/**
 * What samples are compared with: pictures, statistics, or an ADM archive, which has both; and what that gives for each metric: its
 * statistics, its pictures, or a reason why neither can be used.
 */

import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { ShapeError } from "@dcae/core";
import { plural } from "@dcae/core/internal";
import { openNpz } from "../files/npz.node.js";
import type { MissingMetric } from "../networks/find-network.node.js";
import { type GenerationMetric, METRICS } from "../protocols/metrics.js";
import type { Protocol } from "../protocols/protocol.js";
import { folderSource } from "../sources/folder-source.node.js";
import { npzSource } from "../sources/npz-source.node.js";
import type { PictureSource } from "../sources/picture-source.js";
import type { FeatureStatistics } from "../statistics/feature-accumulator.js";
import { missingShare, readStatistics, type StatisticsFile } from "../statistics/statistics-file.node.js";

/** What samples are compared with: pictures, statistics, or both. */
export interface Reference {
  readonly name: string;
  /** Equal for the same pictures or statistics, wherever they lie. */
  readonly fingerprint: string;
  readonly pictures: PictureSource | undefined;
  readonly statistics: StatisticsFile | undefined;
}

/**
 * Opens a folder of pictures (cropped as `protocol` asks) or an .npz file.
 *
 * @throws DataError when it has neither pictures nor statistics
 */
export async function openReference(
  path: string,
  protocol: Pick<Protocol, "crop" | "size" | "decoding">,
): Promise<Reference> {
  const isFolder = await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  if (isFolder) {
    const pictures = await folderSource(path, { protocol });
    return { name: path, fingerprint: pictures.setFingerprint, pictures, statistics: undefined };
  }
  const npz = await openNpz(path);
  const names = npz.names;
  await npz.close();
  const hasPictures = names.includes("arr_0");
  // Without either, reading the statistics says what is missing.
  const hasStatistics = names.includes("mu") || !hasPictures;
  const statistics = hasStatistics ? await readStatistics(path) : undefined;
  const pictures = hasPictures ? await npzSource(path) : undefined;
  const fingerprints = [statistics && fingerprintOf(statistics), pictures?.setFingerprint];
  return { name: path, fingerprint: fingerprints.filter((part) => part !== undefined).join(" "), pictures, statistics };
}

/** Complete statistics of ours stand for their pictures; those of other tools for their numbers. */
function fingerprintOf({ info, statistics }: StatisticsFile): string {
  if (info !== undefined && missingShare(info.shards) === 0) return info.set;
  const hash = createHash("sha256");
  for (const { buffer, byteOffset, byteLength } of [statistics.mean, statistics.covariance]) {
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest("hex");
}

const PICTURES_HINT = "Give a folder of pictures or an archive that holds them as reference.";

/** Pool features of the FID network, and the part of a 17x17 map that sFID takes. */
const POOL_DIMENSIONS = 2048;
const SPATIAL_DIMENSIONS = 2023;

export interface ReferencePlan {
  /** What can be computed. */
  readonly metrics: readonly GenerationMetric[];
  readonly missing: readonly MissingMetric[];
  readonly warnings: readonly string[];
  /** From a file; distances without an entry take the reference's pictures. */
  readonly statistics: ReadonlyMap<GenerationMetric, FeatureStatistics>;
}

interface UsableStatistics {
  readonly statistics: FeatureStatistics;
  readonly warnings: readonly string[];
}

type StatisticsDecision = UsableStatistics | { readonly refused: string };

/**
 * A file of another network is found out before hours of work, not behind them.
 *
 * @throws ShapeError
 */
function checkDimensions({ name, mean }: FeatureStatistics, expected: number): void {
  if (mean.length === expected) return;
  throw new ShapeError(`${name}: its statistics have ${mean.length} dimensions, the features here have ${expected}`, {
    hint: "Both must come from the same network; compute the statistics again with `dcae eval stats`.",
  });
}

/**
 * Whether the FID statistics of a file fit the protocol's network input and the network's weights.
 *
 * @param networks SHA-256 of the files of the network that is used now
 */
function checkStatistics(
  { path, statistics, info, hasPictures }: StatisticsFile,
  protocol: Protocol,
  networks: readonly string[],
): StatisticsDecision {
  // ADM's archives come from TensorFlow's pipeline; the official evaluation doesn't use their statistics.
  const pipeline = info?.pipeline ?? (hasPictures ? "tf1" : undefined);
  if (pipeline !== undefined && pipeline !== protocol.fidPipeline) {
    return {
      refused: `the statistics of ${path} were made with the ${pipeline} input, the protocol uses ${protocol.fidPipeline}`,
    };
  }
  if (info !== undefined && info.networks.join() !== networks.join()) {
    return { refused: `the statistics of ${path} were made with other network weights` };
  }
  const warnings = [...(info?.warnings ?? [])];
  const missing = info === undefined ? 0 : missingShare(info.shards);
  if (missing > 0) {
    warnings.push(
      `${path} holds only a part of its set: ${(100 * missing).toFixed(1)} % of the shards aren't merged in`,
    );
  }
  if (info === undefined && !hasPictures) {
    warnings.push(
      `${path} was written by another tool: which pictures, crop and network input it stands for isn't known here`,
    );
  }
  return { statistics, warnings };
}

/**
 * Decides for each metric what it is computed from.
 *
 * @param wanted metrics whose network is here
 * @param networks SHA-256 of the files of the FID network
 * @throws ShapeError for statistics of other dimensions
 */
export function planReference(
  wanted: readonly GenerationMetric[],
  reference: Reference | undefined,
  protocol: Protocol,
  networks: readonly string[],
): ReferencePlan {
  const missing: MissingMetric[] = [];
  const warnings: string[] = [];
  const statistics = new Map<GenerationMetric, FeatureStatistics>();
  const refuse = (metric: GenerationMetric, reason: string, hint: string) => missing.push({ metric, reason, hint });
  for (const metric of wanted) {
    if (METRICS[metric].reference === null) continue;
    if (reference === undefined) {
      refuse(metric, "there is no reference to compare with", PICTURES_HINT);
    } else if (
      METRICS[metric].reference === "pictures" ||
      (metric === "sfid" && reference.statistics?.spatial === undefined)
    ) {
      if (reference.pictures === undefined)
        refuse(metric, `${reference.name} holds statistics, not pictures`, PICTURES_HINT);
    } else if (metric === "sfid") {
      const spatial = reference.statistics?.spatial as FeatureStatistics;
      checkDimensions(spatial, SPATIAL_DIMENSIONS);
      statistics.set(metric, spatial);
      warnings.push("sFID to statistics of ADM wasn't verified against ADM's own evaluator");
    } else if (reference.statistics !== undefined) {
      const decision = checkStatistics(reference.statistics, protocol, networks);
      if ("statistics" in decision) {
        checkDimensions(decision.statistics, POOL_DIMENSIONS);
        statistics.set(metric, decision.statistics);
        warnings.push(...decision.warnings);
      } else if (reference.pictures === undefined) {
        refuse(metric, decision.refused, "Compute statistics of the same pictures with this protocol.");
      } else {
        warnings.push(
          `${decision.refused}; FID is taken to its ${plural(reference.pictures.count, "picture")} instead`,
        );
      }
    }
  }
  return {
    metrics: wanted.filter((metric) => !missing.some((entry) => entry.metric === metric)),
    missing,
    warnings,
    statistics,
  };
}
