/** Pictures in class folders: which there are, and their labels (diffusion.md section 13). */
import { readdir } from "node:fs/promises";
import { extname, join } from "node:path";
import { DataError } from "@dcae/core";
import { fileError } from "@dcae/core/checkpoint";

export interface ClassFolders {
  /** Folder names, sorted; labels are positions in this list. */
  readonly classes: readonly string[];
  /** Files as `<class>/<file>`, class by class, sorted. */
  readonly files: readonly string[];
}

/** Order by code points, which every platform agrees on. */
export function byCodePoint(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Lists the files of a folder of class folders, also those in folders below.
 *
 * @param extensions with dot, lower case, as in ".png"
 * @throws DataError when there are no class folders or no files
 */
export async function listClassFolders(folder: string, extensions: readonly string[]): Promise<ClassFolders> {
  const entries = await list(folder);
  const classes = entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
    .map(({ name }) => name)
    .sort(byCodePoint);
  if (classes.length === 0) {
    throw new DataError(`${folder}: has no class folders`, {
      hint: "Put the files of each class into a folder of its own.",
    });
  }
  const files: string[] = [];
  for (const name of classes) {
    const below = await walk(join(folder, name), name);
    files.push(...below.filter((file) => extensions.includes(extname(file).toLowerCase())).sort(byCodePoint));
  }
  if (files.length === 0) throw new DataError(`${folder}: its class folders hold no files of ${extensions.join(", ")}`);
  return { classes, files };
}

async function walk(folder: string, prefix: string): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await list(folder)) {
    if (entry.name.startsWith(".")) continue;
    const name = `${prefix}/${entry.name}`;
    if (entry.isDirectory()) files.push(...(await walk(join(folder, entry.name), name)));
    else files.push(name);
  }
  return files;
}

async function list(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    throw fileError(error, folder, "read");
  }
}
