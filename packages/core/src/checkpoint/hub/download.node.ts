/**
 * Brings the files of a checkpoint from the hub into the cache: the config and the weights, nothing else.
 */

import { createHash, randomBytes } from "node:crypto";
import { constants, createReadStream, type Stats } from "node:fs";
import { type FileHandle, lstat, mkdir, open, readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { downloadFile, modelInfo, pathsInfo } from "@huggingface/hub";
import { z } from "zod";
import { CheckpointError } from "../../errors.js";
import { syncFolder } from "../atomic-file.node.js";
import { errorCode, readSmallFile } from "../file-source.node.js";
import { CONFIG_FILE, type DownloadProgress, isShardIndex, MAX_CONFIG_BYTES, selectWeights } from "../opened-model.js";
import { renameFile } from "../rename-file.node.js";
import { MAX_INDEX_BYTES, parseShardIndex } from "../safetensors/shards.js";
import { isRunning } from "../temporary-name.node.js";
import { fileSize, linkBlob, rememberCommit, snapshotFolder } from "./cache.node.js";
import { networkReason } from "./connection.node.js";
import { isCommitHash } from "./hub-id.js";

export interface SnapshotRequest extends Omit<DownloadContext, "commit"> {
  readonly revision: string;
  /** Folder inside of the repository; "" for its root. */
  readonly subfolder: string;
  readonly stems: readonly string[] | undefined;
}

interface Snapshot {
  readonly commit: string;
  /** Folder of config and weights in the cache. */
  readonly folder: string;
  /** File name of the weights or of their shard index. */
  readonly weights: string;
  /** Whether there is a config.json. */
  readonly hasConfig: boolean;
}

/** What is used of the hub's answers, which its client passes on as they come. */
const infoSchema = z.object({ sha: z.string().optional().catch(undefined), filePaths: z.array(z.string()) });
const pathsSchema = z.array(
  z.object({
    path: z.string(),
    type: z.string(),
    size: z.number(),
    oid: z.string().optional(),
    lfs: z.object({ oid: z.string(), size: z.number() }).optional(),
  }),
);

/** @throws CheckpointError where the answer isn't one of a hub; errors of the network and of the hub as they are */
async function hubAnswer<T>({ id, hubUrl }: SnapshotRequest, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    // The client reads fields of whatever arrives.
    const isForeign = error instanceof z.ZodError || (error instanceof TypeError && networkReason(error) === undefined);
    if (!isForeign) throw error;
    throw new CheckpointError(`${id}: ${hubUrl} gave an answer that isn't the hub's`, {
      cause: error,
      hint: "A proxy or a wrong HF_ENDPOINT may stand in between.",
    });
  }
}

/** Downloads what isn't in the cache yet. Errors of the network and of the hub come as they are. */
export async function downloadSnapshot(request: SnapshotRequest): Promise<Snapshot> {
  const { id, revision, subfolder, hubUrl } = request;
  const info = await hubAnswer(request, async () =>
    infoSchema.parse(
      await modelInfo({
        name: id,
        revision,
        hubUrl,
        fetch: request.fetch,
        additionalFields: ["sha", "filePaths"],
      }),
    ),
  );
  const commit = info.sha;
  if (commit === undefined || !isCommitHash(commit))
    throw new CheckpointError(`${id}: ${hubUrl} gave no commit for revision "${revision}"`);
  const context: DownloadContext = { ...request, commit };
  const prefix = subfolder === "" ? "" : `${subfolder}/`;
  const names = info.filePaths
    .filter((path) => path.startsWith(prefix) && !path.slice(prefix.length).includes("/"))
    .map((path) => path.slice(prefix.length));
  const where = subfolder === "" ? id : `${id}/${subfolder}`;
  const weights = selectWeights(names, where, request.stems);
  const hasConfig = names.includes(CONFIG_FILE);

  const download = async (fileNames: readonly string[]) => {
    const files = await remoteFiles(fileNames.map((name) => prefix + name));
    // One after the other: the connection is the limit, and the first error stops the rest.
    for (const file of files) await downloadToCache(file, context);
  };
  const remoteFiles = async (paths: readonly string[]): Promise<RemoteFile[]> => {
    const repo = { type: "model", name: id } as const;
    const found = await hubAnswer(request, async () =>
      pathsSchema.parse(await pathsInfo({ repo, paths: [...paths], revision: commit, hubUrl, fetch: request.fetch })),
    );
    return paths.map((path) =>
      remoteFile(
        found.find((item) => item.path === path),
        path,
        id,
      ),
    );
  };

  await download(hasConfig ? [CONFIG_FILE, weights] : [weights]);
  const folder = join(snapshotFolder(request.modelFolder, commit), ...subfolder.split("/"));
  if (isShardIndex(weights)) {
    const bytes = await readSmallFile(join(folder, weights), MAX_INDEX_BYTES);
    await download(parseShardIndex(bytes, `${where}/${weights}`).shards);
  }
  // Last, so that the cache never names a commit whose files aren't there.
  await rememberCommit(request.modelFolder, revision, commit);
  return { commit, folder, weights, hasConfig };
}

/** Checks what the hub says about a file, since hash and path become parts of local paths. */
function remoteFile(info: z.infer<typeof pathsSchema>[number] | undefined, path: string, id: string): RemoteFile {
  if (info === undefined || info.type !== "file") throw new CheckpointError(`${id}: ${path} isn't in the repository`);
  const { hash, size } = info.lfs
    ? { hash: info.lfs.oid, size: info.lfs.size }
    : { hash: info.oid ?? "", size: info.size };
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash) || !Number.isSafeInteger(size) || size < 0) {
    throw new CheckpointError(`${id}: the hub describes ${path} without a usable size and hash`);
  }
  const limit = path.endsWith(CONFIG_FILE) ? MAX_CONFIG_BYTES : isShardIndex(path) ? MAX_INDEX_BYTES : undefined;
  if (limit !== undefined && size > limit) {
    throw new CheckpointError(`${id}: ${path} has ${size} bytes, which is too large for such a file (limit ${limit})`);
  }
  return { path, size, hash };
}

// Downloads one file of a repository into the cache.
//
// Bytes go to a file of its own beside the blobs, `HASH.PID-RANDOM.incomplete`, which takes the blob's name only after its
// size and hash are those the hub announced. After an interruption the next attempt takes over what is there, also when
// the process was killed (the name says which process it belongs to). @huggingface/hub speaks the protocol; its own
// cache writer is not used, because it neither resumes, verifies nor reports progress.
//
// Debts: plain HTTP only (no parallel chunks through the hub's Xet protocol).

/** One file as the hub describes it. */
interface RemoteFile {
  /** Path inside of the repository. */
  readonly path: string;
  readonly size: number;
  /** SHA-256 of a large file's content, or git's SHA-1 of a small one. Also the name of the blob. */
  readonly hash: string;
}

interface DownloadContext {
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
async function downloadToCache(file: RemoteFile, context: DownloadContext): Promise<string> {
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
    await renameFile(partial, blob);
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
      await renameFile(join(dirname(blob), name), claimed);
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
  else await renameFile(partial, partialName(blob, 0)).catch(() => undefined);
}
