/**
 * The files of a folder and its subfolders: the one way in which all commands find pictures, arrays and archives; and those of class
 * folders, `<root>/<class>/<file>`, with their labels (training.md section 8, diffusion.md section 13).
 *
 * Links are followed, because data sets are put together from links. A folder is visited once, under the first of its names
 * that is met: that ends cycles, and no picture counts twice. Files and folders that are hidden, or that macOS wrote beside
 * others, are left out. The order is that of the whole relative paths by UTF-16 unit, the same on every file system.
 */
import type { Dirent } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { errorCode, fileError } from "../checkpoint/file-source.node.js";
import { DataError } from "../errors.js";
import {
  addLeftOut,
  countLeftOut,
  describeLeftOut,
  endingOf,
  isPictureName,
  type LeftOut,
  leftOutKind,
  PICTURE_ENDINGS,
  whyIgnored,
} from "./picture-name.js";

/** Options of the listings of folders. */
export interface ListFilesOptions {
  /** Which files are wanted, by name. */
  readonly accept: (name: string) => boolean;
  /** This folder is passed over, by whatever way it is reached: results of an earlier run aren't input. */
  readonly exclude?: string | undefined;
}

/** The files of a folder that are wanted, and what else is there. */
export interface FileListing {
  /** Relative to the folder, with slashes, sorted. */
  readonly files: readonly string[];
  /** What else is there. */
  readonly leftOut: LeftOut;
}

/** What an entry of a folder is, links followed. */
type EntryKind = "file" | "folder" | "broken link" | "device";

/**
 * @throws DataError when the entry is a link whose target can't be looked at for another reason than that it isn't there
 */
async function entryKind(entry: Dirent, path: string): Promise<EntryKind> {
  if (entry.isFile()) return "file";
  if (entry.isDirectory()) return "folder";
  try {
    // A link, or a file system that doesn't say.
    const status = await stat(path);
    return status.isFile() ? "file" : status.isDirectory() ? "folder" : "device";
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT" || code === "ELOOP" || code === "ENOTDIR") return "broken link";
    throw fileError(error, path, "read");
  }
}

/** The entries of a folder. @throws DataError naming it */
async function readFolder(folder: string): Promise<Dirent[]> {
  try {
    return (await readdir(folder, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    throw fileError(error, folder, "read");
  }
}

/**
 * Lists files. A link that leads nowhere is listed when its name is wanted: reading it says what is wrong.
 *
 * @throws DataError when the folder or one below it can't be read
 */
export async function listFiles(folder: string, { accept, exclude }: ListFilesOptions): Promise<FileListing> {
  const files: string[] = [];
  const leftOut = new Map<string, number>();
  const visited = new Set<string>();
  const excluded = exclude === undefined ? undefined : await realpath(exclude).catch(() => undefined);

  async function visit(path: string, prefix: string): Promise<void> {
    const real = await realpath(path).catch((error: unknown) => {
      throw fileError(error, path, "read");
    });
    if (prefix !== "" && real === excluded) return;
    if (visited.has(real)) {
      countLeftOut(leftOut, "links to folders listed already");
      return;
    }
    visited.add(real);
    for (const entry of await readFolder(path)) {
      const ignored = whyIgnored(entry.name);
      if (ignored !== undefined) {
        countLeftOut(leftOut, ignored);
        continue;
      }
      const below = join(path, entry.name);
      const kind = await entryKind(entry, below);
      if (kind === "folder") await visit(below, `${prefix}${entry.name}/`);
      else if (kind !== "device" && accept(entry.name)) files.push(`${prefix}${entry.name}`);
      else countLeftOut(leftOut, kind === "file" ? leftOutKind(entry.name) : `${kind}s`);
    }
  }

  await visit(folder, "");
  return { files: files.sort(), leftOut };
}

/**
 * The pictures of a folder and its subfolders.
 *
 * @throws DataError when the folder can't be read or has none, saying what it has instead
 */
export async function listPictures(folder: string, options: { readonly exclude?: string } = {}): Promise<FileListing> {
  const listing = await listFiles(folder, { ...options, accept: isPictureName });
  if (listing.files.length > 0) return listing;
  const others = describeLeftOut(listing.leftOut);
  throw new DataError(`${folder}: there are no pictures in it${others === undefined ? "" : `, only ${others}`}`, {
    hint: `Looked for files that end with ${PICTURE_ENDINGS.join(", ")}, in subfolders too.`,
  });
}

/** Pictures in class folders, as data sets for classification lie. */
export interface ClassFolders {
  /** Folder names, sorted; labels are positions in this list. */
  readonly classes: readonly string[];
  /** Files as `<class>/<file>`, class by class, sorted; also those in folders below. */
  readonly files: readonly string[];
  /** What else is there. */
  readonly leftOut: LeftOut;
}

/**
 * Lists the files of a folder of class folders. As with `listFiles` links are followed, class folders that are links too.
 *
 * @param endings wanted ones, with dot, lower case, as in ".png"
 * @throws DataError when there are no class folders, or one of them holds no file of these endings: models would be given a
 *   class that nothing shows
 */
export async function listClassFolders(folder: string, endings: readonly string[]): Promise<ClassFolders> {
  const classes: string[] = [];
  const outside = new Map<string, number>();
  for (const entry of await readFolder(folder)) {
    const path = join(folder, entry.name);
    const ignored = whyIgnored(entry.name);
    const kind = ignored === undefined ? await entryKind(entry, path) : undefined;
    if (kind === "folder") classes.push(entry.name);
    // Without it the labels of the classes behind it would be others.
    else if (kind === "broken link") {
      throw new DataError(`${path}: the link leads nowhere`, { hint: "Repair it, or remove it if no class is meant." });
    } else countLeftOut(outside, ignored ?? `${leftOutKind(entry.name)} outside of class folders`);
  }
  if (classes.length === 0) {
    throw new DataError(`${folder}: has no class folders`, {
      hint: "Put the files of each class into a folder of its own.",
    });
  }
  classes.sort();
  const files: string[] = [];
  const leftOut: LeftOut[] = [outside];
  for (const name of classes) {
    const path = join(folder, name);
    const below = await listFiles(path, { accept: (file) => endings.includes(endingOf(file)) });
    if (below.files.length === 0) {
      const others = describeLeftOut(below.leftOut);
      throw new DataError(
        `${path}: this class folder has no ${endings.join(", ")} files${others === undefined ? "" : `, only ${others}`}`,
        { hint: "Remove it if no class is meant: labels are positions in the list of class folders." },
      );
    }
    files.push(...below.files.map((file) => `${name}/${file}`));
    leftOut.push(below.leftOut);
  }
  return { classes, files, leftOut: addLeftOut(leftOut) };
}
