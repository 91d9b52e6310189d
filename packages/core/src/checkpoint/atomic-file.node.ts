/**
 * Files and folders that are complete or not there.
 *
 * A file's content goes to a hidden temporary file in the same folder, reaches the disk (fsync), and then takes its name in one step
 * (rename). Whatever fails on the way, a full disk, an abort or an error of the caller, the temporary file is removed and an older
 * file of that name stays as it was. A killed process can leave the temporary file behind; its name starts with a dot and ends with
 * `.tmp`, so that nothing takes it for the file, and the next process that writes into the folder removes it.
 *
 * A folder, for checkpoints of several files, is filled under a hidden name beside the final one, which it then takes. One that
 * exists already is swapped out as a whole, so that new weights never lie beside an old config; there is a moment in which neither
 * is in place, but none in which they mix. Of a process that was killed in that moment, the next one that writes the folder puts
 * the old content back first.
 */
import { type FileHandle, mkdir, open, readdir, realpath, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { DataError } from "../errors.js";
import { errorCode, fileError } from "./file-source.node.js";
import { removeFile } from "./remove-file.node.js";
import { renameFile } from "./rename-file.node.js";
import type { ByteSink } from "./safetensors/writer.js";
import { isReplaced, removeLeftovers, replacedName, temporaryName } from "./temporary-name.node.js";

/** Larger writes are split: Node refuses 2 GiB at once. */
const MAX_WRITE_BYTES = 64 * 2 ** 20;

/** A file that is being written under another name, and gets its own when it is whole. */
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
    await renameFile(temporary, target);
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

/** Options of `writeDirectoryAtomic`. */
export interface AtomicDirectoryOptions {
  /** Replaces a folder that exists and isn't empty; without it that is an error. */
  readonly overwrite?: boolean | undefined;
  /**
   * Which files of a replaced folder belong to the old content and go away with it. All others (a README, samples) move
   * into the new folder unless it has a file of that name. Default: weights, their index and `config.json`.
   */
  readonly isOldContent?: ((fileName: string) => boolean) | undefined;
}

const isCheckpointFile = (name: string): boolean => /\.safetensors(\.index\.json)?$|^config\.json$/.test(name);

/**
 * Writes the folder `path` atomically; missing parent folders are made. `fill` gets the temporary folder's path.
 *
 * @throws DataError (not empty, no permission, full disk, ...); errors of `fill` pass through
 */
export async function writeDirectoryAtomic<T>(
  path: string,
  fill: (temporaryDirectory: string) => Promise<T>,
  options: AtomicDirectoryOptions = {},
): Promise<T> {
  const target = resolve(path);
  const temporary = temporaryName(target);
  const isOldContent = options.isOldContent ?? isCheckpointFile;
  try {
    await removeLeftovers(dirname(target));
    await finishSwaps(target, isOldContent);
    const exists = await isOccupied(target, path, options.overwrite ?? false);
    await mkdir(dirname(target), { recursive: true });
    await mkdir(temporary);
    const result = await fill(temporary);
    await syncTree(temporary);
    if (exists) await swap(temporary, target, isOldContent);
    else await renameFile(temporary, target);
    await syncFolder(dirname(target));
    return result;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw withFinalPath(fileError(error, path, "write"), temporary, path);
  }
}

/** Messages about files inside of the temporary folder name the place where they would have been. */
function withFinalPath(error: unknown, temporary: string, path: string): unknown {
  if (!(error instanceof DataError) || !error.message.includes(temporary)) return error;
  return new DataError(error.message.replaceAll(temporary, path), {
    cause: error,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  });
}

/** Whether there is something at `target` that has to be swapped out. */
async function isOccupied(target: string, path: string, overwrite: boolean): Promise<boolean> {
  try {
    if (!(await stat(target)).isDirectory()) throw new DataError(`${path}: can't write: it is a file, not a folder`);
    if ((await readdir(target)).length > 0 && !overwrite) {
      throw new DataError(`${path}: can't write: the folder isn't empty`, {
        hint: "Choose another folder, or allow overwriting.",
      });
    }
    return true;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw error;
  }
}

async function swap(fresh: string, target: string, isOldContent: (name: string) => boolean): Promise<void> {
  const old = replacedName(target);
  await renameFile(target, old);
  try {
    await renameFile(fresh, target);
  } catch (error) {
    await renameFile(old, target);
    throw error;
  }
  await keepOthers(old, target, isOldContent);
}

/** Moves what isn't old content into the new folder, and removes the rest. */
async function keepOthers(old: string, target: string, isOldContent: (name: string) => boolean): Promise<void> {
  const present = new Set(await readdir(target));
  for (const name of await readdir(old)) {
    if (!present.has(name) && !isOldContent(name)) await renameFile(join(old, name), join(target, name));
  }
  await removeFile(old);
}

/** Brings swaps to their end during which the process was killed. */
async function finishSwaps(target: string, isOldContent: (name: string) => boolean): Promise<void> {
  const parent = dirname(target);
  // Where there is no folder yet, nothing was swapped.
  const names = await readdir(parent).catch(() => []);
  for (const name of names.filter((candidate) => isReplaced(candidate, target))) {
    const old = join(parent, name);
    const exists = await stat(target).then(
      () => true,
      () => false,
    );
    if (exists) await keepOthers(old, target, isOldContent);
    else await renameFile(old, target);
  }
}

/** Brings every file of a folder, and the folders themselves, to the disk. */
async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) {
      const handle = await open(path, "r+");
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    }
  }
  await syncFolder(folder);
}
