/**
 * The cache folder that all Hugging Face libraries share, so that a model downloaded by any of them is found:
 *
 *   models--ORG--NAME/refs/REVISION             the commit that a branch or tag pointed to
 *   models--ORG--NAME/snapshots/COMMIT/FILE     links to blobs (copies where links aren't allowed)
 *   models--ORG--NAME/blobs/HASH                contents
 *
 * Source: "Hub Local Cache" in the Hugging Face hub documentation.
 */
import { copyFile, mkdir, readdir, readFile, rm, stat, symlink } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { getHFHubCachePath } from "@huggingface/hub";
import { writeFileAtomic } from "../atomic-file.node.js";
import { errorCode } from "../file-source.node.js";
import { renameFile } from "../rename-file.node.js";
import { removeLeftovers, temporaryName } from "../temporary-name.node.js";
import { isCommitHash } from "./hub-id.js";

/** Folder of one model in the cache. `cacheDir` defaults to HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub. */
export function modelCacheFolder(id: string, cacheDir: string = getHFHubCachePath()): string {
  return join(resolve(cacheDir), `models--${id.replace("/", "--")}`);
}

/** The commit that the cache knows for a revision; undefined when it knows none. */
export async function cachedCommit(modelFolder: string, revision: string): Promise<string | undefined> {
  if (isCommitHash(revision)) return revision;
  try {
    const commit = (await readFile(join(modelFolder, "refs", revision), "utf8")).trim();
    return isCommitHash(commit) ? commit : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Remembers which commit a branch or tag points to. */
export async function rememberCommit(modelFolder: string, revision: string, commit: string): Promise<void> {
  if (isCommitHash(revision)) return;
  const path = join(modelFolder, "refs", revision);
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, (file) => file.write(new TextEncoder().encode(commit)));
}

export function snapshotFolder(modelFolder: string, commit: string): string {
  return join(modelFolder, "snapshots", commit);
}

/** Names of the files in a folder whose content is there; links to blobs that don't exist are left out. */
export async function presentFiles(folder: string): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
  const present = await Promise.all(names.map((name) => fileSize(join(folder, name))));
  return names.filter((_, i) => present[i] !== undefined).sort();
}

/** Size of the file behind a path or link; undefined when there is none. */
export async function fileSize(path: string): Promise<number | undefined> {
  try {
    const stats = await stat(path);
    return stats.isFile() ? stats.size : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Makes `blob` visible as `path` in one step. */
export async function linkBlob(blob: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await removeLeftovers(dirname(path));
  const temporary = temporaryName(path);
  try {
    try {
      // Relative, so that the cache can be moved.
      await symlink(relative(dirname(path), blob), temporary);
    } catch (error) {
      // Windows without the privilege, and some network file systems.
      if (!["EPERM", "EACCES", "ENOTSUP", "ENOSYS", "EINVAL", "UNKNOWN"].includes(errorCode(error) ?? "")) throw error;
      await copyFile(blob, temporary);
    }
    await renameFile(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes(errorCode(error) ?? "");
}
