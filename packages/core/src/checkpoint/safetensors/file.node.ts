/**
 * Safetensors files on disk, alone or in shards (Node): lazy reading by path, atomic and streaming writing.
 */

import { dirname, join } from "node:path";
import { writeFileAtomic } from "../atomic-file.node.js";
import { openFileSource, readSmallFile } from "../file-source.node.js";
import type { Weights } from "../weights.js";
import { openSafetensors, type SafetensorsFile } from "./reader.js";
import { MAX_INDEX_BYTES, openShards, parseShardIndex, planShards } from "./shards.js";
import {
  DEFAULT_METADATA,
  planSafetensors,
  type SafetensorsWriteOptions,
  type WritableEntry,
  writeSafetensorsLayout,
} from "./writer.js";

/**
 * Opens a file; arrays are read when they are asked for. Close the result when done.
 *
 * @throws CheckpointError when the file can't be read or its header is damaged
 * @example
 * ```ts
 * import { Tensor } from "@dcae/core";
 * import { openSafetensorsFile, tensorEntries, writeSafetensorsFile } from "@dcae/core/checkpoint";
 *
 * await writeSafetensorsFile("z.safetensors", tensorEntries([["latents", Tensor.zeros([1, 32, 8, 8])]]));
 * const file = await openSafetensorsFile("z.safetensors");
 * const latents = await file.entries.get("latents")?.read();
 * console.log(latents?.shape); // [1, 32, 8, 8]
 * await file.close();
 * ```
 */
export async function openSafetensorsFile(path: string): Promise<SafetensorsFile> {
  return openSafetensors(await openFileSource(path));
}

/**
 * Writes a file atomically, with one array in memory at a time. `entries` may come from an open `Weights`.
 *
 * @returns the size of the file in bytes
 * @throws DataError when the file can't be written, CheckpointError for arrays that aren't as announced
 */
export async function writeSafetensorsFile(
  path: string,
  entries: Iterable<WritableEntry> | AsyncIterable<WritableEntry>,
  options: SafetensorsWriteOptions = {},
): Promise<number> {
  const list: WritableEntry[] = [];
  // The header needs all names and shapes before the first array is produced.
  for await (const entry of entries) list.push(entry);
  const layout = planSafetensors(list, options.metadata ?? DEFAULT_METADATA);
  await writeFileAtomic(path, (file) => writeSafetensorsLayout(layout, file, options));
  return layout.byteLength;
}

/** Options of checkpoints in several files. */
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
