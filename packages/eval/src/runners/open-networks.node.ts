/** The networks that a run needs. Those whose weights aren't here are named with their metrics, not taken as 0. */
import type { Weights } from "@dcae/core/checkpoint";
import { closeAll, failClosed } from "@dcae/core/runtime";
import {
  type FindNetworkOptions,
  findNetwork,
  MissingWeightsError,
  type UsedFile,
} from "../networks/find-network.node.js";
import type { Metric, MetricNetwork } from "../protocols/metrics.js";

/** A metric that wasn't computed, and why. */
export interface MissingMetric {
  readonly metric: Metric;
  readonly reason: string;
  readonly hint?: string;
}

export interface UsedNetwork {
  readonly network: MetricNetwork;
  readonly files: readonly UsedFile[];
}

export interface OpenedNetworks {
  readonly weights: ReadonlyMap<MetricNetwork, Weights>;
  readonly used: readonly UsedNetwork[];
  readonly missing: readonly MissingMetric[];
  /** Warnings about files that aren't known to be the published ones. */
  readonly warnings: readonly string[];
  close(): Promise<void>;
}

/**
 * Opens networks.
 *
 * @param needed the network of each metric that needs one
 * @throws CheckpointError when a file is there but damaged or another one than published
 */
export async function openNetworks(
  needed: ReadonlyMap<Metric, MetricNetwork>,
  options: FindNetworkOptions,
): Promise<OpenedNetworks> {
  const weights = new Map<MetricNetwork, Weights>();
  const used: UsedNetwork[] = [];
  const missing: MissingMetric[] = [];
  const warnings: string[] = [];
  const close = async () => {
    await closeAll([...weights.values()].map((opened) => () => opened.close()));
  };
  try {
    for (const network of new Set(needed.values())) {
      const metrics = [...needed].filter(([, other]) => other === network).map(([metric]) => metric);
      try {
        const found = await findNetwork(network, options);
        weights.set(network, found.weights);
        used.push({ network, files: found.files });
        for (const { path, published } of found.files) {
          if (!published) warnings.push(unverified(path));
        }
      } catch (error) {
        if (!(error instanceof MissingWeightsError)) throw error;
        const hint = error.hint === undefined ? {} : { hint: error.hint };
        missing.push(...metrics.map((metric) => ({ metric, reason: error.message, ...hint })));
      }
    }
  } catch (error) {
    return failClosed(error, [close]);
  }
  return { weights, used, missing, warnings, close };
}

/** What results say about a file that isn't known. */
export function unverified(path: string): string {
  return `${path} isn't the published file, byte for byte; its content wasn't verified`;
}

/** SHA-256 of all files of a network, as results and statistics files store them. */
export function fingerprintsOf(used: readonly UsedNetwork[], network: MetricNetwork): string[] {
  return used.filter((entry) => entry.network === network).flatMap(({ files }) => files.map(({ sha256 }) => sha256));
}
