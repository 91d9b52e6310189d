/** What `--out` means: a folder, one array file, or one picture. */
import { stat } from "node:fs/promises";
import { dirname, extname } from "node:path";
import { DataError } from "@dcae/core";
import { fileError } from "@dcae/core/checkpoint";
import { imageFormatOf } from "@dcae/core/image";
import { UsageError } from "../usage-error.js";
import { arrayFormatOf, makeFolder } from "./array-file.js";

export type OutputKind = "folder" | "array" | "picture";

/**
 * By the ending of the name: .npy and .safetensors are arrays, .png and so on pictures. An existing folder, a slash at the
 * end, or no ending mean a folder.
 *
 * @throws UsageError for an ending that means nothing, or a kind the command doesn't write; DataError when the place is
 *   taken by something else
 */
export async function outputKind(path: string, allowed: readonly OutputKind[]): Promise<OutputKind> {
  if (path === "") throw new UsageError("--out: the path is empty");
  const existing = await statusOf(path);
  const kind = existing === "folder" ? "folder" : kindByName(path);
  if (kind === undefined || !allowed.includes(kind)) {
    throw new UsageError(`--out ${path}: this command doesn't write ${kind ?? `"${extname(path)}"`} files`, {
      hint: `Give ${allowed.map((name) => DESCRIPTIONS[name]).join(", or ")}.`,
    });
  }
  if (kind === "folder" && existing === "file") {
    throw new DataError(`${path}: can't write: it is a file, not a folder`, { hint: "Choose another name." });
  }
  return kind;
}

const DESCRIPTIONS: Readonly<Record<OutputKind, string>> = {
  folder: "a folder (a name without ending, or with a slash at the end)",
  array: "a .npy or .safetensors file",
  picture: "a picture (.png, .jpg, .webp, .avif, .tiff)",
};

function kindByName(path: string): OutputKind | undefined {
  if (/[/\\]$/.test(path)) return "folder";
  if (arrayFormatOf(path) !== undefined) return "array";
  const ending = extname(path);
  // Endings such as ".0" belong to version numbers, not to file formats.
  if (!/[a-z]/i.test(ending)) return "folder";
  try {
    imageFormatOf(path);
    return "picture";
  } catch {
    return undefined;
  }
}

async function statusOf(path: string): Promise<"folder" | "file" | undefined> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw fileError(error, path, "write");
  }
}

// Checks where a file of results will go before the work that it is about.

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
