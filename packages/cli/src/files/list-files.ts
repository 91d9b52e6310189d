/**
 * The files behind the paths of a command line: files as they are, folders searched with their subfolders (core's listFiles).
 *
 * The order is that of the arguments, and by name inside of folders, so that results don't depend on the file system.
 */
import { stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { DataError } from "@dcae/core";
import { describeLeftOut, type LeftOut, listFiles as listFolder } from "@dcae/core/image";
import type { CliIo } from "../cli-io.js";

export interface ListedFile {
  readonly path: string;
  /** For names of results: relative to the folder it was found in, with slashes, without ending. */
  readonly name: string;
}

export interface ListOptions {
  /** Which files of a folder count, by name. */
  readonly accept: (name: string) => boolean;
  /** Searched folders leave this one out: results of an earlier run aren't input. */
  readonly exclude?: string | undefined;
  /** For messages, as in "pictures". */
  readonly what: string;
}

/**
 * Lists files, and says what folders hold besides. Paths that don't exist are listed too: reading them says what is wrong.
 *
 * @throws DataError when a folder can't be read or holds no file that counts
 */
export async function listFiles(
  paths: readonly string[],
  { accept, exclude, what }: ListOptions,
  io: Pick<CliIo, "note">,
): Promise<ListedFile[]> {
  const files: ListedFile[] = [];
  for (const path of paths) {
    if (!(await isFolder(path))) {
      files.push({ path, name: withoutEnding(basename(path)) });
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
    files.push(...found.files.map((file) => ({ path: join(path, file), name: withoutEnding(file) })));
  }
  return files;
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
