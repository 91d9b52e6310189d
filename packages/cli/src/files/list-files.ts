/**
 * The files behind the paths of a command line: files as they are, folders searched with their subfolders.
 *
 * The order is that of the arguments, and by name inside of folders, so that results don't depend on the file system.
 */
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, extname, isAbsolute, join, relative, sep } from "node:path";
import { DataError } from "@dcae/core";
import { fileError } from "@dcae/core/checkpoint";

export interface ListedFile {
  readonly path: string;
  /** For names of results: relative to the folder it was found in, with slashes, without ending. */
  readonly name: string;
}

export interface ListOptions {
  /** Which files of a folder count. */
  readonly accept: (path: string) => boolean;
  /** Searched folders leave this one out: results of an earlier run aren't input. */
  readonly exclude?: string | undefined;
  /** For messages, as in "pictures". */
  readonly what: string;
}

/**
 * Lists files. Paths that don't exist are listed too: reading them says what is wrong.
 *
 * Hidden files and folders are left out. Links are followed; a folder that was visited isn't visited again.
 *
 * @throws DataError when a folder can't be read or holds no file that counts
 */
export async function listFiles(paths: readonly string[], options: ListOptions): Promise<ListedFile[]> {
  const excluded = options.exclude === undefined ? undefined : await realpath(options.exclude).catch(() => undefined);
  const files: ListedFile[] = [];
  for (const path of paths) {
    if (!(await isFolder(path))) {
      files.push({ path, name: withoutEnding(basename(path)) });
      continue;
    }
    const found = await searchFolder(path, options.accept, excluded);
    if (found.length === 0) throw new DataError(`${path}: there are no ${options.what} in this folder`);
    files.push(...found.map((file) => ({ path: file, name: withoutEnding(relative(path, file)) })));
  }
  return files.map((file) => ({ ...file, name: file.name.split(sep).join("/") }));
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

async function searchFolder(root: string, accept: ListOptions["accept"], excluded?: string): Promise<string[]> {
  const visited = new Set<string>();
  const found: string[] = [];

  async function visit(folder: string): Promise<void> {
    const real = await realpath(folder);
    if (visited.has(real) || (excluded !== undefined && isInside(real, excluded) && folder !== root)) return;
    visited.add(real);
    const names = (await readdir(folder)).filter((name) => !name.startsWith("."));
    for (const name of names.sort()) {
      const path = join(folder, name);
      if (await isFolder(path)) await visit(path);
      else if (accept(path)) found.push(path);
    }
  }

  try {
    await visit(root);
  } catch (error) {
    throw fileError(error, root, "read");
  }
  return found;
}

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way === "" || !(way === ".." || way.startsWith(`..${sep}`) || isAbsolute(way));
}
