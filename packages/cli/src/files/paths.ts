/** What the paths of a command line mean: the files behind inputs, and what `--out` asks for (a folder, an array file, a picture). */
import { stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { DataError } from "@dcae/core";
import { fileError } from "@dcae/core/checkpoint";
import { describeLeftOut, imageFormatOf, type LeftOut, listFiles as listFolder } from "@dcae/core/image";
import type { CliIo } from "../cli-io.js";
import { UsageError } from "../errors.js";
import { arrayFormatOf, makeFolder } from "./array-file.js";
import { expandGlob, isGlob } from "./glob.js";

export interface ListedFile {
  readonly path: string;
  /** For names of results: relative to the folder it was found in, with slashes, without ending. */
  readonly name: string;
  /** The same with its ending. */
  readonly fullName: string;
}

/** stdin as an input, stdout as a result. */
export const STANDARD_STREAM = "-";

interface ListOptions {
  /** Which files of a folder count, by name. */
  readonly accept: (name: string) => boolean;
  /** Searched folders leave this one out: results of an earlier run aren't input. */
  readonly exclude?: string | undefined;
  /** For messages, as in "pictures". */
  readonly what: string;
}

/**
 * Lists files, and says what folders hold besides. Paths that don't exist are listed too: reading them says what is wrong. Patterns
 * that no shell has expanded are (`expandGlob`).
 *
 * @throws DataError when a folder can't be read or holds no file that counts, or no file fits a pattern
 */
export async function listFiles(
  paths: readonly string[],
  { accept, exclude, what }: ListOptions,
  io: Pick<CliIo, "note">,
): Promise<ListedFile[]> {
  const files: ListedFile[] = [];
  for (const path of (await Promise.all(paths.map(expand))).flat()) {
    if (!(await isFolder(path))) {
      const fullName = path === STANDARD_STREAM ? "stdin" : basename(path);
      files.push({ path, name: withoutEnding(fullName), fullName });
      continue;
    }
    const found = await listFolder(path, { accept, exclude });
    const others = describeLeftOut(found.leftOut);
    if (found.files.length === 0) {
      throw new DataError(
        `${path}: there are no ${what} in this folder${others === undefined ? "" : `, only ${others}`}`,
      );
    }
    noteLeftOut(io, path, found);
    files.push(...found.files.map((file) => ({ path: join(path, file), name: withoutEnding(file), fullName: file })));
  }
  return files;
}

/** The paths of a pattern; others as they are, also those that look like one and exist. */
async function expand(path: string): Promise<string[]> {
  if (!isGlob(path) || (await statusOf(path)) !== undefined) return [path];
  const found = await expandGlob(path);
  if (found.length === 0) throw new DataError(`${path}: no file has a name of this pattern`);
  return found;
}

function withoutEnding(path: string): string {
  const ending = extname(path);
  return ending === "" ? path : path.slice(0, -ending.length);
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

export function noteLeftOut(io: Pick<CliIo, "note">, folder: string, { leftOut }: { readonly leftOut: LeftOut }): void {
  const kinds = describeLeftOut(leftOut);
  if (kinds !== undefined) io.note(`dcae: ${folder}: left out ${kinds}`);
}

// Where results go.

export type OutputKind = "folder" | "array" | "picture" | "stdout";

/**
 * By the ending of the name: .npy and .safetensors are arrays, .png and so on pictures. An existing folder, a slash at the
 * end, or no ending mean a folder, "-" means stdout.
 *
 * @throws UsageError for an ending that means nothing, or a kind the command doesn't write; DataError when the place is
 *   taken by something else
 */
export async function outputKind<Kind extends OutputKind>(path: string, allowed: readonly Kind[]): Promise<Kind> {
  if (path === "") throw new UsageError("--out: the path is empty");
  if (path === STANDARD_STREAM && includes(allowed, "stdout")) return "stdout" as Kind;
  const existing = await statusOf(path);
  const kind = existing === "folder" ? "folder" : kindByName(path);
  if (kind === undefined || !includes(allowed, kind)) {
    throw new UsageError(`--out ${path}: this command doesn't write ${kind ?? `"${extname(path)}"`} files`, {
      hint: `Give ${allowed.map((name) => DESCRIPTIONS[name]).join(", or ")}.`,
    });
  }
  if (kind === "folder" && existing === "file") {
    throw new DataError(`${path}: can't write: it is a file, not a folder`, { hint: "Choose another name." });
  }
  return kind;
}

function includes<Kind extends OutputKind>(allowed: readonly Kind[], kind: OutputKind): kind is Kind {
  return (allowed as readonly OutputKind[]).includes(kind);
}

const DESCRIPTIONS: Readonly<Record<OutputKind, string>> = {
  folder: "a folder (a name without ending, or with a slash at the end)",
  array: "a .npy or .safetensors file",
  stdout: '"-" for stdout',
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
