/** Which network files are here, whether they are the published ones, and where the others come from. */
import type { Metric, MetricNetwork } from "../protocols/metrics.js";
import { type FindNetworkOptions, locateFile, sha256Of } from "./find-network.node.js";
import { NETWORK_FILES } from "./network-files.js";

/** The metrics that need a network. */
export const METRICS_OF: Readonly<Record<MetricNetwork, readonly Metric[]>> = {
  inception: ["rfid", "fid", "sfid", "is", "precision", "recall"],
  "lpips-alex": ["lpips"],
  "lpips-vgg": ["lpips"],
  clip: ["cmmd"],
};

export interface InspectedFile {
  readonly network: MetricNetwork;
  readonly metrics: readonly Metric[];
  /** What the file contributes. */
  readonly role: string;
  /** Name under which it is looked for first. */
  readonly name: string;
  /** Environment variable that may hold its path. */
  readonly variable: string;
  readonly url: string;
  /** SHA-256 of the published file. */
  readonly sha256: string;
  /** Where it was found. */
  readonly path?: string;
  /** Of the file that was found: whether it is the published one, byte for byte. */
  readonly published?: boolean;
}

/**
 * Looks for every file of every network and hashes what it finds (seconds per gigabyte).
 *
 * @throws CheckpointError when a path that was named outright leads nowhere
 */
export async function inspectNetworks(options: FindNetworkOptions = {}): Promise<InspectedFile[]> {
  const inspected: InspectedFile[] = [];
  for (const [network, files] of Object.entries(NETWORK_FILES) as [MetricNetwork, (typeof NETWORK_FILES)["clip"]][]) {
    for (const file of files) {
      const { role, names, variable, url, sha256 } = file;
      const path = await locateFile(file, options);
      const found = path === undefined ? {} : { path, published: (await sha256Of(path)) === sha256 };
      const name = names[0] as string;
      inspected.push({ network, metrics: METRICS_OF[network], role, name, variable, url, sha256, ...found });
    }
  }
  return inspected;
}
