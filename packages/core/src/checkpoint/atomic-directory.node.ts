/**
 * Folders that are complete or not there, for checkpoints of several files: the content goes to a hidden temporary folder
 * beside the final one, which then takes its name. A folder that exists already is swapped out as a whole, so that new
 * weights never lie beside an old config; there is a moment in which neither is in place, but none in which they mix. Of a
 * process that was killed in that moment, the next one that writes the folder puts the old content back first.
 */
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { DataError } from "../errors.js";
import { syncFolder } from "./atomic-file.node.js";
import { errorCode, fileError } from "./file-error.node.js";
import { isReplaced, removeLeftovers, replacedName, temporaryName } from "./temporary-name.node.js";

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
    else await rename(temporary, target);
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
  await rename(target, old);
  try {
    await rename(fresh, target);
  } catch (error) {
    await rename(old, target);
    throw error;
  }
  await keepOthers(old, target, isOldContent);
}

/** Moves what isn't old content into the new folder, and removes the rest. */
async function keepOthers(old: string, target: string, isOldContent: (name: string) => boolean): Promise<void> {
  const present = new Set(await readdir(target));
  for (const name of await readdir(old)) {
    if (!present.has(name) && !isOldContent(name)) await rename(join(old, name), join(target, name));
  }
  await rm(old, { recursive: true, force: true });
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
    else await rename(old, target);
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
