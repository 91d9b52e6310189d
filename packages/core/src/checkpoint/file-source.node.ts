/**
 * A local file as a ByteSource (Node): positional reads on one open file, so that the file is never loaded as a whole
 * and several reads can run at the same time; and small files as a whole.
 */
import { type FileHandle, open } from "node:fs/promises";
import { resolve } from "node:path";
import { CheckpointError, DataError, DcaeError, type DcaeErrorOptions, errorAs } from "../errors.js";
import { type ByteSource, checkRange } from "./byte-source.js";
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

/**
 * Files of sources that nobody closed before they were collected, as those of a model without `dispose`: Node warns where it has to close
 * a file then, and will throw one day.
 */
const forgotten = new FinalizationRegistry<FileHandle>((handle) => {
  handle.close().catch(() => undefined);
});

function fileSource(handle: FileHandle, name: string, path: string, size: number): ByteSource {
  let closed = false;
  const source: ByteSource = {
    name,
    size,
    path,
    async read(offset, length) {
      if (closed) throw new CheckpointError(`${name}: read after close`);
      checkRange(this, offset, length);
      const bytes = allocateBytes(name, length);
      try {
        await readFully(source, handle, bytes, offset);
      } catch (error) {
        throw fileError(error, name, "read", CheckpointError);
      }
      return bytes;
    },
    async close() {
      if (closed) return;
      closed = true;
      forgotten.unregister(source);
      await handle.close();
    },
  };
  forgotten.register(source, handle, source);
  return source;
}

/** @param source whose file `handle` is: as long as this reads, it isn't forgotten */
async function readFully(source: ByteSource, handle: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const wanted = Math.min(bytes.length - done, MAX_READ_BYTES);
    const { bytesRead } = await handle.read(bytes, done, wanted, offset + done);
    if (bytesRead === 0) {
      throw new CheckpointError(`${source.name}: the file ended at byte ${offset + done} while it was read`, {
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

const reasons: Readonly<Record<string, readonly [reason: string, hint?: string]>> = {
  ENOENT: ["no such file or folder", "Check the path."],
  ENOTDIR: ["a part of the path is a file, not a folder", "Check the path."],
  EISDIR: ["it is a folder, not a file", "Name a file inside of it."],
  EEXIST: ["it exists already"],
  ENOTEMPTY: ["the folder isn't empty"],
  EACCES: ["permission denied", "Check the permissions of the file and its folder."],
  EPERM: ["operation not permitted", "Check the permissions of the file and its folder."],
  EROFS: ["the file system is read-only", "Choose another place."],
  ENOSPC: ["the disk is full", "Free some space or choose another place."],
  EDQUOT: ["the disk quota is used up", "Free some space or choose another place."],
  EFBIG: ["the file would be larger than the file system or its limit allows"],
  EMFILE: ["too many open files", "Close files or raise the limit (ulimit -n)."],
  ENFILE: ["too many open files", "Close files or raise the limit (ulimit -n)."],
  ENAMETOOLONG: ["the name is too long"],
  ELOOP: ["symbolic links form a loop"],
  EBUSY: ["it is in use"],
  EIO: ["the device reports an input/output error"],
  ENXIO: ["there is no device behind it"],
};

/** The error code of Node's system errors (`ENOENT`...), if `error` is one. */
export function errorCode(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}

/**
 * Turns a system error into an error of this project; every other error is returned as it is, since it already says
 * what happened or is a defect that must not be disguised.
 *
 * @param action what was tried, as in "read" or "write"
 */
export function fileError(
  error: unknown,
  path: string,
  action: string,
  ErrorType: new (message: string, options?: DcaeErrorOptions) => DcaeError = DataError,
): unknown {
  const code = errorCode(error);
  if (error instanceof DcaeError || code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error;
  const [reason, hint] = reasons[code] ?? [(error as Error).message];
  return new ErrorType(`${path}: can't ${action}: ${reason} (${code})`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}
