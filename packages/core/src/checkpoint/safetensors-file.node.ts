/**
 * Safetensors files on disk (Node): lazy reading by path, atomic and streaming writing.
 */
import { writeFileAtomic } from "./atomic-file.node.js";
import { openFileSource } from "./file-source.node.js";
import { planSafetensors, type WritableEntry } from "./safetensors-layout.js";
import { openSafetensors, type SafetensorsFile } from "./safetensors-reader.js";
import { DEFAULT_METADATA, type SafetensorsWriteOptions, writeSafetensorsLayout } from "./safetensors-writer.js";

/**
 * Opens a file; arrays are read when they are asked for. Close the result when done.
 *
 * @throws CheckpointError when the file can't be read or its header is damaged
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
