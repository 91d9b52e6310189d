/**
 * Picture files of a folder and its subfolders: flat folders, and the ImageNet layout `<root>/<class>/<file>` alike.
 *
 * An autoencoder has no use for labels, so the classes are only a part of the names.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { listPictures } from "@dcae/core/image";
import type { RecipeSource } from "./recipe-source.js";

/**
 * The pictures of a folder.
 *
 * @throws DataError when the folder can't be read or has no pictures
 */
export async function fileSource(folder: string): Promise<RecipeSource> {
  const { files, leftOut } = await listPictures(folder);
  const hash = createHash("sha256");
  for (const file of files) hash.update(`${file}\n`);
  return {
    name: folder,
    count: files.length,
    ordered: true,
    fingerprint: hash.digest("hex"),
    leftOut,
    recipe: async (index) => ({ kind: "file", path: join(folder, files[index] as string) }),
  };
}
