/** Checks where a file of results will go before the work that it is about. */
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { DataError } from "@dcae/core";
import { UsageError } from "../usage-error.js";
import { makeFolder } from "./write-array-file.js";

/**
 * Makes the folder of a file that will be written.
 *
 * @param ending of the file's name, as in ".json"
 * @throws UsageError for another ending, DataError when a folder has this name or the one above can't be made
 */
export async function prepareOutFile(path: string, ending: string): Promise<string> {
  if (!path.toLowerCase().endsWith(ending)) throw new UsageError(`--out ${path}: give a name that ends with ${ending}`);
  const status = await stat(path).catch(() => undefined);
  if (status?.isDirectory() === true) {
    throw new DataError(`${path}: can't write: it is a folder`, { hint: "Choose another name." });
  }
  await makeFolder(dirname(path));
  return path;
}
