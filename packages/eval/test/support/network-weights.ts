/** Closed-form weights of the metric networks as files, so that runners find them as they would find published ones. */
import { join } from "node:path";
import type { Tensor } from "@dcae/core";
import { tensorEntries, type Weights, writeSafetensorsFile } from "@dcae/core/checkpoint";
import type { FindNetworkOptions } from "../../src/networks/find-network.node.js";
import { hashFilledWeights } from "./hash-fill.js";

async function write(path: string, weights: Weights, keep: (name: string) => boolean): Promise<string> {
  const tensors: [string, Tensor][] = [];
  for (const entry of weights.entries.values()) if (keep(entry.name)) tensors.push([entry.name, await entry.read()]);
  await writeSafetensorsFile(path, tensorEntries(tensors));
  return path;
}

/** Options under which the FID network and LPIPS (AlexNet) are found, and nothing else is. */
export async function writeNetworks(folder: string): Promise<FindNetworkOptions> {
  const alex = hashFilledWeights("manifest_lpips_alex.json");
  return {
    files: {
      DCAE_INCEPTION: await write(
        join(folder, "inception.safetensors"),
        hashFilledWeights("manifest_inception_fid.json"),
        () => true,
      ),
      DCAE_ALEXNET: await write(join(folder, "alexnet.safetensors"), alex, (name) => name.startsWith("net.")),
      DCAE_LPIPS_ALEX: await write(join(folder, "lpips.safetensors"), alex, (name) => name.startsWith("lin")),
    },
    verify: "skip",
    environment: { XDG_CACHE_HOME: join(folder, "no-cache") },
  };
}

/** Options under which no network is found. */
export function withoutNetworks(folder: string): FindNetworkOptions {
  return { environment: { XDG_CACHE_HOME: join(folder, "no-cache") } };
}
