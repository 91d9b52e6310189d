/**
 * Sharded checkpoints on disk (Node).
 */
import { dirname, join } from "node:path";
import { writeFileAtomic } from "./atomic-file.node.js";
import { openSafetensorsFile, writeSafetensorsFile } from "./safetensors-file.node.js";
import { planSafetensors, type WritableEntry } from "./safetensors-layout.js";
import { DEFAULT_METADATA, type SafetensorsWriteOptions } from "./safetensors-writer.js";
import { MAX_INDEX_BYTES, openShards, parseShardIndex } from "./shard-index.js";
import { planShards } from "./shard-plan.js";
import { readSmallFile } from "./small-file.node.js";
import type { Weights } from "./weights.js";

export interface ShardedWriteOptions extends SafetensorsWriteOptions {
  /** File name without ending: "model" (default) for official, "diffusion_pytorch_model" for diffusers checkpoints. */
  readonly stem?: string | undefined;
  /** Most bytes of array data in one file; 5 GB by default. */
  readonly maxShardBytes?: number | undefined;
}

/**
 * Opens a checkpoint by its index file (`*.safetensors.index.json`).
 *
 * @throws CheckpointError when index and shards don't match or a shard is missing or damaged
 */
export async function openShardedFile(indexPath: string): Promise<Weights> {
  const bytes = await readSmallFile(indexPath, MAX_INDEX_BYTES);
  const index = parseShardIndex(bytes, indexPath);
  return openShards(index, indexPath, (fileName) => openSafetensorsFile(join(dirname(indexPath), fileName)));
}

/**
 * Writes weights into `folder` (which exists) as `STEM.safetensors`, or as shards and an index when they are larger than
 * one shard. Each file is written atomically and the index last; for a folder that is atomic as a whole use this inside
 * of `writeDirectoryAtomic`.
 *
 * @returns the file names written
 */
export async function writeShardedFiles(
  folder: string,
  entries: Iterable<WritableEntry>,
  options: ShardedWriteOptions = {},
): Promise<string[]> {
  const { shards, index } = planShards(entries, options.stem ?? "model", options.maxShardBytes);
  const { onProgress, metadata = DEFAULT_METADATA } = options;
  const sizes = shards.map((shard) => planSafetensors(shard.entries, metadata).byteLength);
  const totalBytes = sizes.reduce((sum, size) => sum + size, 0);
  let before = 0;
  for (const shard of shards) {
    const start = before;
    before += await writeSafetensorsFile(join(folder, shard.fileName), shard.entries, {
      metadata,
      signal: options.signal,
      onProgress:
        onProgress &&
        (({ name, writtenBytes }) => onProgress({ name, writtenBytes: start + writtenBytes, totalBytes })),
    });
  }
  if (index === undefined) return shards.map(({ fileName }) => fileName);
  await writeFileAtomic(join(folder, index.fileName), (file) => file.write(new TextEncoder().encode(index.text)));
  return [...shards.map(({ fileName }) => fileName), index.fileName];
}
