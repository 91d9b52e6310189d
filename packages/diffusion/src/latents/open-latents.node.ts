/** Opens a folder of latents of either layout, written by us or by the reference. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { errorCode, fileError, writeFileAtomic } from "@dcae/core/checkpoint";
import type { LatentDataset } from "./latent-dataset.js";
import { MANIFEST_NAME, parseManifest } from "./latent-manifest.js";
import type { LatentFolderStatistics } from "./latent-statistics.js";
import { openNpyLatents, openReferenceLatents } from "./npy-latents.node.js";
import { openShardLatents } from "./shard-latents.node.js";

/**
 * Opens a folder and checks that every file is there and whole. Close the result when done.
 *
 * @throws DataError naming the file that is missing, cut off or of another shape
 */
export async function openLatents(folder: string): Promise<LatentDataset> {
  const path = join(folder, MANIFEST_NAME);
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw fileError(error, path, "read");
    return openReferenceLatents(folder);
  }
  const manifest = parseManifest(bytes, path);
  return manifest.layout === "npy" ? openNpyLatents(folder, manifest) : openShardLatents(folder, manifest);
}

/** Measures a data set and writes `statistics.json` into its folder. */
export async function writeLatentStatistics(dataset: LatentDataset): Promise<LatentFolderStatistics> {
  const statistics = await dataset.statistics();
  const text = `${JSON.stringify(statistics, null, 2)}\n`;
  await writeFileAtomic(join(dataset.folder, "statistics.json"), (file) => file.write(new TextEncoder().encode(text)));
  return statistics;
}
