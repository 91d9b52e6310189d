/**
 * Configs and indices: whole files, with a limit, because they come from strangers.
 */
import { CheckpointError } from "../errors.js";
import { openFileSource } from "./file-source.node.js";

/**
 * Reads a whole file.
 *
 * @throws CheckpointError when it can't be read or is larger than `maxBytes`
 */
export async function readSmallFile(path: string, maxBytes: number): Promise<Uint8Array> {
  const source = await openFileSource(path);
  try {
    if (source.size > maxBytes) {
      throw new CheckpointError(`${path}: ${source.size} bytes is too large for such a file (limit ${maxBytes})`);
    }
    return await source.read(0, source.size);
  } finally {
    await source.close();
  }
}
