/**
 * Files that are complete or not there: content goes to a hidden temporary file in the same folder, reaches the disk
 * (fsync), and then takes its name in one step (rename). Whatever fails on the way, a full disk, an abort or an error of
 * the caller, the temporary file is removed and an older file of that name stays as it was. A killed process can leave
 * the temporary file behind; its name starts with a dot and ends with `.tmp`, so that nothing takes it for the file, and
 * the next process that writes into the folder removes it.
 */
import { type FileHandle, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { DataError } from "../errors.js";
import { errorCode, fileError } from "./file-error.node.js";
import type { ByteSink } from "./safetensors-writer.js";
import { removeLeftovers, temporaryName } from "./temporary-name.node.js";

/** Larger writes are split: Node refuses 2 GiB at once. */
const MAX_WRITE_BYTES = 64 * 2 ** 20;

export interface AtomicFile extends ByteSink {
  /** Appends bytes. */
  write(bytes: Uint8Array): Promise<void>;
  /** Bytes written so far. */
  readonly position: number;
}

/**
 * Writes `path` atomically. `fill` writes the content.
 *
 * @throws DataError (missing folder, no permission, full disk, ...); errors of `fill` pass through
 */
export async function writeFileAtomic<T>(path: string, fill: (file: AtomicFile) => Promise<T>): Promise<T> {
  const target = await targetOf(path);
  await removeLeftovers(dirname(target));
  const temporary = temporaryName(target);
  let handle: FileHandle | undefined;
  let created = false;
  try {
    handle = await open(temporary, "wx");
    created = true;
    const result = await fill(atomicFile(handle));
    await handle.sync();
    await handle.close();
    handle = undefined;
    await rename(temporary, target);
    await syncFolder(dirname(target));
    return result;
  } catch (error) {
    // A second failure (the disk is gone) must not hide the first one.
    await handle?.close().catch(() => undefined);
    if (created) await rm(temporary, { force: true }).catch(() => undefined);
    throw fileError(error, path, "write");
  }
}

/** The file behind `path`, through symbolic links, after a check that it may be replaced. */
async function targetOf(path: string): Promise<string> {
  const absolute = resolve(path);
  try {
    const stats = await stat(absolute);
    if (stats.isDirectory()) throw Object.assign(new Error("is a directory"), { code: "EISDIR" });
    if (!stats.isFile()) throw new DataError(`${path}: can't write: it is a device, not a file`);
    return await realpath(absolute);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return absolute;
    throw fileError(error, path, "write");
  }
}

function atomicFile(handle: FileHandle): AtomicFile {
  let position = 0;
  return {
    get position() {
      return position;
    },
    async write(bytes) {
      for (let done = 0; done < bytes.length; ) {
        const length = Math.min(bytes.length - done, MAX_WRITE_BYTES);
        const { bytesWritten } = await handle.write(bytes, done, length, position);
        if (bytesWritten === 0) throw new DataError("can't write: the file system takes no more bytes");
        done += bytesWritten;
        position += bytesWritten;
      }
    },
  };
}

/** Makes a rename durable. Windows has no such call for folders and makes renames durable itself. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } catch (error) {
    // Some network file systems don't offer it; the file itself is complete and in place.
    if (!["EINVAL", "ENOTSUP", "ENOSYS"].includes(errorCode(error) ?? "")) throw error;
  } finally {
    await handle.close();
  }
}
