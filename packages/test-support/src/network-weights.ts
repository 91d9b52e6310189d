/** Closed-form weights of the metric networks as files, so that runners find them as they would find published ones. */
import { join } from "node:path";
import { tensorEntries, type Weights, writeSafetensorsFile } from "@dcae/core/checkpoint";
import type { Tensor } from "@dcae/core/graph";
import type { FindNetworkOptions } from "@dcae/eval";
import { goldenFolder } from "./golden.js";
import { hashFilledWeights, type ManifestEntry } from "./hash-fill.js";

const cases = goldenFolder(new URL("../../eval/test/golden/", import.meta.url));

/** The weights of a network whose manifest is among the golden cases of eval. */
export function networkWeights(manifest: string): Weights {
  return hashFilledWeights(cases.json(manifest).tensors as readonly ManifestEntry[], manifest);
}

async function write(path: string, weights: Weights, keep: (name: string) => boolean): Promise<string> {
  const tensors: [string, Tensor][] = [];
  for (const entry of weights.entries.values()) if (keep(entry.name)) tensors.push([entry.name, await entry.read()]);
  await writeSafetensorsFile(path, tensorEntries(tensors));
  return path;
}

/** Options under which the FID network and LPIPS (AlexNet) are found, and nothing else is. */
export async function writeNetworks(folder: string): Promise<FindNetworkOptions> {
  const alex = networkWeights("manifest_lpips_alex");
  const inception = networkWeights("manifest_inception_fid");
  return {
    files: {
      DCAE_INCEPTION: await write(join(folder, "inception.safetensors"), inception, () => true),
      DCAE_ALEXNET: await write(join(folder, "alexnet.safetensors"), alex, (name) => name.startsWith("net.")),
      DCAE_LPIPS_ALEX: await write(join(folder, "lpips.safetensors"), alex, (name) => name.startsWith("lin")),
    },
    verify: "skip",
    environment: { XDG_CACHE_HOME: join(folder, "no-cache") },
  };
}
