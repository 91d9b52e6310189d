/** Whether a path holds picture files or shards, for users who name it without saying so. */
import { readdir, stat } from "node:fs/promises";
import { fileError } from "@dcae/core/checkpoint";
import { DataError } from "@dcae/core/graph";
import { isPictureName, whyIgnored } from "@dcae/core/image";
import { isArchiveName } from "./shard-source.js";

/**
 * Looks at the names at the top of a folder, at the ending of a file.
 *
 * @throws DataError when there is nothing, or a folder has both
 */
export async function detectSource(path: string): Promise<"folder" | "shards"> {
  let names: string[];
  try {
    if (!(await stat(path)).isDirectory()) {
      if (isArchiveName(path) || /\.json$/i.test(path)) return "shards";
      throw new DataError(`${path}: neither a folder of pictures, nor a .tar or .zip shard or the .json index of some`);
    }
    names = (await readdir(path)).filter((name) => whyIgnored(name) === undefined);
  } catch (error) {
    throw fileError(error, path, "read");
  }
  if (!names.some(isArchiveName)) return "folder";
  if (names.some(isPictureName)) {
    throw new DataError(`${path}: has both pictures and archives`, { hint: "Put them into folders of their own." });
  }
  return "shards";
}
