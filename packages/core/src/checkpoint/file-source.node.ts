/**
 * A local file as a ByteSource (Node): positional reads on one open file, so that the file is never loaded as a whole
 * and several reads can run at the same time; and small files as a whole.
 */
import { type FileHandle, open } from "node:fs/promises";
import { resolve } from "node:path";
import { CheckpointError, DataError, type DcaeError, type DcaeErrorOptions, errorAs } from "../errors.js";
import { type ByteSource, checkRange } from "./byte-source.js";
import { fileError } from "./file-error.node.js";
import { parseJson } from "./json-text.js";

/** Node refuses single reads of 2 GiB and more; smaller pieces also keep libuv's threads available to others. */
const MAX_READ_BYTES = 256 * 2 ** 20;

/**
 * Opens a file for reading.
 *
 * @throws CheckpointError when the path is missing, unreadable or not a regular file
 */
export async function openFileSource(path: string): Promise<ByteSource> {
  const absolute = resolve(path);
  let handle: FileHandle | undefined;
  try {
    handle = await open(absolute, "r");
    const stats = await handle.stat();
    if (stats.isDirectory()) throw Object.assign(new Error("is a directory"), { code: "EISDIR" });
    if (!stats.isFile()) throw new CheckpointError(`${path}: not a regular file`);
    return fileSource(handle, path, absolute, stats.size);
  } catch (error) {
    await handle?.close();
    throw fileError(error, path, "read", CheckpointError);
  }
}

function fileSource(handle: FileHandle, name: string, path: string, size: number): ByteSource {
  let closed = false;
  return {
    name,
    size,
    path,
    async read(offset, length) {
      if (closed) throw new CheckpointError(`${name}: read after close`);
      checkRange(this, offset, length);
      const bytes = allocateBytes(name, length);
      try {
        await readFully(handle, name, bytes, offset);
      } catch (error) {
        throw fileError(error, name, "read", CheckpointError);
      }
      return bytes;
    },
    async close() {
      if (closed) return;
      closed = true;
      await handle.close();
    },
  };
}

async function readFully(handle: FileHandle, name: string, bytes: Uint8Array, offset: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const wanted = Math.min(bytes.length - done, MAX_READ_BYTES);
    const { bytesRead } = await handle.read(bytes, done, wanted, offset + done);
    if (bytesRead === 0) {
      throw new CheckpointError(`${name}: the file ended at byte ${offset + done} while it was read`, {
        hint: "Another process has changed the file; load it again when it is complete.",
      });
    }
    done += bytesRead;
  }
}

function allocateBytes(name: string, length: number): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new CheckpointError(`${name}: not enough memory for an array of ${length} bytes`, { cause });
  }
}

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

/**
 * What a JSON file of a user or a stranger holds (see `parseJson`).
 *
 * @throws ErrorType (default DataError) naming the file, when it can't be read, is larger than `maxBytes` or isn't JSON
 */
export async function readJson(
  path: string,
  maxBytes: number,
  ErrorType: new (message: string, options?: DcaeErrorOptions) => DcaeError = DataError,
): Promise<unknown> {
  try {
    return parseJson(await readSmallFile(path, maxBytes), path);
  } catch (error) {
    throw errorAs(error, ErrorType);
  }
}
