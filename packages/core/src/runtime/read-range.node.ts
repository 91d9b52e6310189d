/** A part of a file that may be gone afterwards: opened, read, closed. */
import { openFileSource } from "../checkpoint/file-source.node.js";

/** @throws CheckpointError when the file is missing, unreadable or ends before */
export async function readRange(path: string, offset: number, byteLength: number): Promise<Uint8Array> {
  const source = await openFileSource(path);
  try {
    return await source.read(offset, byteLength);
  } finally {
    await source.close();
  }
}
