/**
 * Picture files of a folder and its subfolders: flat folders, and the ImageNet layout `<root>/<class>/<file>` alike.
 *
 * An autoencoder has no use for labels, so the classes are only a part of the names.
 */
import { createHash } from "node:crypto";
import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { fileError } from "@dcae/core/checkpoint";
import { DataError } from "@dcae/core/graph";
import type { PictureSource } from "./picture-source.js";

/** The extensions of the official folder data sets (training.md section 8), and AVIF. */
export const PICTURE_EXTENSIONS: ReadonlySet<string> = new Set([
  "jpg",
  "jpeg",
  "png",
  "ppm",
  "bmp",
  "pgm",
  "tif",
  "tiff",
  "webp",
  "avif",
]);

/** Whether a file of that name is taken for a picture. */
export function isPictureName(name: string): boolean {
  return PICTURE_EXTENSIONS.has(name.slice(name.lastIndexOf(".") + 1).toLowerCase());
}

/** Regular files below `folder` that `accepts` takes, relative to it with "/" and sorted; hidden ones are left out. */
export async function listFiles(folder: string, accepts: (name: string) => boolean): Promise<string[]> {
  let entries: Dirent[];
  try {
    entries = await readdir(folder, { recursive: true, withFileTypes: true });
  } catch (error) {
    throw fileError(error, folder, "read");
  }
  return entries
    .filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && !entry.name.startsWith(".") && accepts(entry.name))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .sort();
}

/**
 * The pictures of a folder.
 *
 * @throws DataError when the folder can't be read or has no pictures
 */
export async function folderSource(folder: string): Promise<PictureSource> {
  const files = await listFiles(folder, isPictureName);
  if (files.length === 0) {
    throw new DataError(`${folder}: there are no pictures in it`, {
      hint: `Looked for files that end with ${[...PICTURE_EXTENSIONS].join(", ")}, in subfolders too.`,
    });
  }
  const hash = createHash("sha256");
  for (const file of files) hash.update(`${file}\n`);
  return {
    name: folder,
    count: files.length,
    ordered: true,
    fingerprint: hash.digest("hex"),
    recipe: async (index) => ({ kind: "file", path: join(folder, files[index] as string) }),
  };
}
