/**
 * Downloads one file of a repository into the cache.
 *
 * Bytes go to a file of its own beside the blobs, `HASH.PID-RANDOM.incomplete`, which takes the blob's name only after its
 * size and hash are those the hub announced. After an interruption the next attempt takes over what is there, also when
 * the process was killed (the name says which process it belongs to). @huggingface/hub speaks the protocol; its own
 * cache writer is not used, because it neither resumes, verifies nor reports progress.
 *
 * Debts: plain HTTP only (no parallel chunks through the hub's Xet protocol).
 */
import { createHash, randomBytes } from "node:crypto";
import { constants, createReadStream, type Stats } from "node:fs";
import { type FileHandle, lstat, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { downloadFile } from "@huggingface/hub";
import { CheckpointError } from "../../errors.js";
import { syncFolder } from "../atomic-file.node.js";
import { errorCode } from "../file-error.node.js";
import type { DownloadProgress } from "../opened-model.js";
import { isRunning } from "../temporary-name.node.js";
import { fileSize, linkBlob, snapshotFolder } from "./cache.node.js";
import { networkReason } from "./connection.node.js";

/** One file as the hub describes it. */
export interface RemoteFile {
  /** Path inside of the repository. */
  readonly path: string;
  readonly size: number;
  /** SHA-256 of a large file's content, or git's SHA-1 of a small one. Also the name of the blob. */
  readonly hash: string;
}

export interface DownloadContext {
  readonly id: string;
  readonly commit: string;
  readonly hubUrl: string;
  readonly token: string | undefined;
  /** Sends the token, and comes to an end. */
  readonly fetch: typeof fetch;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: DownloadProgress) => void) | undefined;
  /** How often a broken connection is taken up again before the download fails. */
  readonly retries: number;
  /** The model's folder in the cache. */
  readonly modelFolder: string;
}

/**
 * Makes `file` present in the snapshot of the cache and returns its path there.
 *
 * @throws CheckpointError when the content isn't what the hub announced; errors of the network and of the disk as they are
 */
export async function downloadToCache(file: RemoteFile, context: DownloadContext): Promise<string> {
  const path = join(snapshotFolder(context.modelFolder, context.commit), ...file.path.split("/"));
  if ((await fileSize(path)) === file.size) return path;
  const blob = join(context.modelFolder, "blobs", file.hash);
  if ((await fileSize(blob)) !== file.size) {
    await mkdir(dirname(blob), { recursive: true });
    await downloadBlob(file, blob, context);
  }
  await linkBlob(blob, path);
  return path;
}

async function downloadBlob(file: RemoteFile, blob: string, context: DownloadContext): Promise<void> {
  const partial = await claimPartial(blob);
  try {
    const resumed = ((await fileSize(partial)) ?? 0) > 0;
    let isRight = await completePartial(file, partial, context);
    if (!isRight && resumed) {
      // What was left by an earlier attempt is of no use, or the server can't continue: once more from the start.
      await rm(partial, { force: true });
      isRight = await completePartial(file, partial, context);
    }
    if (!isRight) {
      await rm(partial, { force: true });
      throw new CheckpointError(`${context.id}: ${file.path} arrived damaged: its content hasn't the announced hash`, {
        hint: "Try again; if it persists, a proxy may change the content.",
      });
    }
    await rename(partial, blob);
    await syncFolder(dirname(blob));
  } catch (error) {
    await leavePartial(partial, blob, error);
    throw error;
  }
}

/** Downloads what `partial` lacks, taking up broken connections again; says whether size and hash are right then. */
async function completePartial(file: RemoteFile, partial: string, context: DownloadContext): Promise<boolean> {
  for (let failures = 0; ; ) {
    const before = (await fileSize(partial)) ?? 0;
    try {
      return await continueDownload(file, partial, context);
    } catch (error) {
      // A connection that breaks now and then but brings something each time may go on.
      failures = ((await fileSize(partial)) ?? 0) > before ? 1 : failures + 1;
      if (failures > context.retries || networkReason(error) === undefined || context.signal?.aborted) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100 * 2 ** failures));
    }
  }
}

async function continueDownload(file: RemoteFile, partial: string, context: DownloadContext): Promise<boolean> {
  const handle = await openPartial(partial);
  try {
    let loaded = (await handle.stat()).size;
    if (loaded < file.size) loaded = await appendRest(handle, file, loaded, context);
    await handle.sync();
    return loaded === file.size && (await contentHash(partial, file)) === file.hash;
  } finally {
    await handle.close();
  }
}

/** Opens a partial file at its end, or makes one. Others may write into a shared cache: never through a link of theirs. */
async function openPartial(partial: string): Promise<FileHandle> {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW = 0 } = constants;
  const handle = await open(partial, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW);
  if (isOwnContent(await handle.stat())) return handle;
  await handle.close();
  throw new CheckpointError(`${partial}: not a file of its own`, { hint: "Remove it, and look who may write there." });
}

/** Whether a path stands for content of its own: not for a link, and not under a second name. */
function isOwnContent(stats: Stats): boolean {
  return stats.isFile() && stats.nlink === 1;
}

async function appendRest(
  handle: FileHandle,
  file: RemoteFile,
  start: number,
  context: DownloadContext,
): Promise<number> {
  const remote = await downloadFile({
    repo: { type: "model", name: context.id },
    path: file.path,
    revision: context.commit,
    hubUrl: context.hubUrl,
    fetch: context.fetch,
    // Plain HTTP can be continued at any byte and sends a single response.
    xet: false,
  });
  if (remote === null) throw new CheckpointError(`${context.id}: ${file.path} isn't in the repository (any more)`);
  let loaded = start;
  const report = () => context.onProgress?.({ file: file.path, loadedBytes: loaded, totalBytes: file.size });
  report();
  const reader = (start === 0 ? remote : remote.slice(start, file.size)).stream().getReader();
  try {
    for (;;) {
      context.signal?.throwIfAborted();
      const { done, value } = await reader.read();
      if (done) return loaded;
      // More than announced: stop before it fills the disk; the hash check will refuse it.
      if (loaded + value.length > file.size) return Number.POSITIVE_INFINITY;
      await handle.appendFile(value);
      loaded += value.length;
      report();
    }
  } catch (error) {
    // The stream of @huggingface/hub turns errors before the first byte into texts.
    if (typeof error !== "string") throw error;
    const failure = new Error(error);
    throw networkReason(failure) === undefined
      ? new CheckpointError(`${context.id}: downloading ${file.path} failed: ${error}`, { hint: "Try again later." })
      : failure;
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

async function contentHash(path: string, file: RemoteFile): Promise<string> {
  const isSha256 = file.hash.length === 64;
  const hash = createHash(isSha256 ? "sha256" : "sha1");
  if (!isSha256) hash.update(`blob ${file.size}\0`);
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** A name for incomplete content: that of an interrupted download of the same blob, or a new one. */
async function claimPartial(blob: string): Promise<string> {
  const claimed = partialName(blob, process.pid);
  for (const name of await readdir(dirname(blob))) {
    const [, hash, pid] = /^([0-9a-f]+)\.(\d+)-[0-9a-f]+\.incomplete$/.exec(name) ?? [];
    if (hash !== basename(blob) || isRunning(Number(pid))) continue;
    try {
      if (!isOwnContent(await lstat(join(dirname(blob), name)))) continue;
      await rename(join(dirname(blob), name), claimed);
      return claimed;
    } catch (error) {
      // Another process was faster.
      if (errorCode(error) !== "ENOENT") throw error;
    }
  }
  return claimed;
}

function partialName(blob: string, pid: number): string {
  return `${blob}.${pid}-${randomBytes(4).toString("hex")}.incomplete`;
}

/** Leaves what arrived for the next attempt, as nobody's (process 0); a full disk gets its space back instead. */
async function leavePartial(partial: string, blob: string, error: unknown): Promise<void> {
  const isDiskFull = ["ENOSPC", "EDQUOT", "EFBIG"].includes(errorCode(error) ?? "");
  const size = await fileSize(partial).catch(() => undefined);
  if (size === undefined) return;
  if (isDiskFull || size === 0) await rm(partial, { force: true }).catch(() => undefined);
  else await rename(partial, partialName(blob, 0)).catch(() => undefined);
}
