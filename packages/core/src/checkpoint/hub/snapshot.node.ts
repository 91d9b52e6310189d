/**
 * Brings the files of a checkpoint from the hub into the cache: the config and the weights, nothing else.
 */
import { join } from "node:path";
import { modelInfo, pathsInfo } from "@huggingface/hub";
import { z } from "zod";
import { CheckpointError } from "../../errors.js";
import { readSmallFile } from "../file-source.node.js";
import { CONFIG_FILE, isShardIndex, MAX_CONFIG_BYTES, selectWeights } from "../opened-model.js";
import { MAX_INDEX_BYTES, parseShardIndex } from "../safetensors/shards.js";
import { rememberCommit, snapshotFolder } from "./cache.node.js";
import { networkReason } from "./connection.node.js";
import { type DownloadContext, downloadToCache, type RemoteFile } from "./download.node.js";
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
