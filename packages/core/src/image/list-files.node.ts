/**
 * The files of a folder and its subfolders: the one way in which all commands find pictures, arrays and archives.
 *
 * Links are followed, because data sets are put together from links. A folder is visited once, under the first of its names
 * that is met: that ends cycles, and no picture counts twice. Files and folders that are hidden, or that macOS wrote beside
 * others, are left out. The order is that of the whole relative paths by UTF-16 unit, the same on every file system.
 */
import type { Dirent } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { errorCode, fileError } from "../checkpoint/file-error.node.js";
import { DataError } from "../errors.js";
import { countLeftOut, describeLeftOut, type LeftOut, leftOutKind } from "./left-out.js";
import { isPictureName, PICTURE_ENDINGS, whyIgnored } from "./picture-name.js";

export interface ListFilesOptions {
  /** Which files are wanted, by name. */
  readonly accept: (name: string) => boolean;
  /** This folder is passed over, by whatever way it is reached: results of an earlier run aren't input. */
  readonly exclude?: string | undefined;
}

export interface FileListing {
  /** Relative to the folder, with slashes, sorted. */
  readonly files: readonly string[];
  /** What else is there. */
  readonly leftOut: LeftOut;
}

/** What an entry of a folder is, links followed. */
export type EntryKind = "file" | "folder" | "broken link" | "device";

/**
 * @throws DataError when the entry is a link whose target can't be looked at for another reason than that it isn't there
 */
export async function entryKind(entry: Dirent, path: string): Promise<EntryKind> {
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
export async function readFolder(folder: string): Promise<Dirent[]> {
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
