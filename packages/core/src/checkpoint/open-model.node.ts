/**
 * Opens a checkpoint by what a user writes (Node), a model id, a folder or a file: first the paths of its files on this machine,
 * then its config and lazily read weights.
 *
 * Local folders and files never cause a request. Ids go through the cache that all Hugging Face libraries share.
 */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { OptionNames } from "../check-options.js";
import { CheckpointError, ConfigError, errorMessage, rethrowAs } from "../errors.js";
import { MODEL_PARTS } from "../models/family.js";
import { closeAll, failClosed } from "../runtime/close-all.js";
import { errorCode, fileError, openFileSource, readSmallFile } from "./file-source.node.js";
import { cachedCommit, modelCacheFolder, presentFiles, snapshotFolder } from "./hub/cache.node.js";
import { hubError, hubFetch, networkReason } from "./hub/connection.node.js";
import { downloadSnapshot, type SnapshotRequest } from "./hub/download.node.js";
import { fetchModel } from "./hub/fetch-model.js";
import {
  checkHubUrl,
  checkRevision,
  checkSubfolder,
  checkToken,
  DEFAULT_HUB_URL,
  DEFAULT_REVISION,
  isCommitHash,
  isModelId,
} from "./hub/hub-id.js";
import {
  CONFIG_FILE,
  checkPlaceless,
  FETCH_OPTIONS,
  type FetchModelOptions,
  isSafetensors,
  isShardIndex,
  isTorchFile,
  MAX_CONFIG_BYTES,
  type ModelUrls,
  nameOfSource,
  type OpenedModel,
  parseModelConfig,
  selectWeights,
  WEIGHT_STEMS,
} from "./opened-model.js";
import { openSafetensorsFile, openShardedFile } from "./safetensors/file.node.js";
import { MAX_INDEX_BYTES, parseShardIndex } from "./safetensors/shards.js";
import { openTorch } from "./torch/torch-file.js";
import type { Weights } from "./weights.js";

/** Where a model is looked for: the hub, its cache, how often a connection is tried. */
export interface ResolveModelOptions extends FetchModelOptions {
  /** Cache folder; HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub by default. */
  readonly cacheDir?: string | undefined;
  /** Makes no requests, and uses what the cache has; HF_HUB_OFFLINE by default. */
  readonly offline?: boolean | undefined;
  /** How often a broken connection is taken up again; 3 by default. */
  readonly retries?: number | undefined;
}

export const RESOLVE_OPTIONS: OptionNames<ResolveModelOptions> = {
  ...FETCH_OPTIONS,
  cacheDir: true,
  offline: true,
  retries: true,
};

/** The files of a model on this machine. */
export interface ModelFiles {
  /** The id or path that was asked for. */
  readonly source: string;
  /** Path of `config.json`; undefined when there is none. */
  readonly configPath: string | undefined;
  /** Path of the `.safetensors` or `torch.save` file, or of the `.safetensors.index.json` beside its shards. */
  readonly weightsPath: string;
  /** Path of the decoder's weights, where those of the encoder (`weightsPath`) are a file of their own. */
  readonly decoderPath?: string | undefined;
  /** Where the files come from: the user's disk, the cache without asking the hub, or the hub (through the cache). */
  readonly origin: "local" | "cache" | "hub";
  /** The commit on the hub. */
  readonly commit?: string | undefined;
  /** Something the user should know, a full sentence. */
  readonly notice?: string | undefined;
}

/** An open checkpoint and the files it lies in. */
export interface OpenedModelFiles extends OpenedModel {
  readonly files: ModelFiles;
}

/**
 * Opens a checkpoint from the hub (through the cache), a folder or a file. Close its `weights` when done.
 *
 * @param named see `resolveModelFiles`
 * @throws CheckpointError with what is wrong and the next step
 */
export async function openModel(
  idOrPath: string,
  options: ResolveModelOptions = {},
  named?: NamedModels,
): Promise<OpenedModelFiles> {
  return openFiles(await resolveModelFiles(idOrPath, options, named));
}

/**
 * Opens a checkpoint by the URLs of its files, or by the files themselves; those on this machine are read where they lie.
 *
 * @throws CheckpointError as `openModel`, ConfigError for options that have no effect
 */
export async function openModelUrls(urls: ModelUrls | Blob, options: ResolveModelOptions = {}): Promise<OpenedModel> {
  if (urls instanceof Blob) return fetchModel(urls, options);
  const [config, weights] = [pathOfUrl(urls.config), pathOfUrl(urls.weights)];
  if (config === undefined || weights === undefined) return fetchModel(urls, options);
  checkPlaceless(urls, options);
  return openFiles({ source: nameOfSource(urls), configPath: config, weightsPath: weights, origin: "local" });
}

function pathOfUrl(url: URL | string | Blob): string | undefined {
  if (url instanceof Blob || !String(url).startsWith("file:")) return undefined;
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new CheckpointError(`${String(url)}: not a path on this machine: ${errorMessage(cause)}`, { cause });
  }
}

async function openFiles(files: ModelFiles): Promise<OpenedModelFiles> {
  const { configPath, weightsPath, decoderPath, source, notice } = files;
  const config =
    configPath === undefined
      ? undefined
      : parseModelConfig(await readSmallFile(configPath, MAX_CONFIG_BYTES), configPath);
  return {
    source,
    config,
    configSource: configPath ?? source,
    weights:
      decoderPath === undefined
        ? await openWeightsFile(weightsPath)
        : await openHalves({ encoder: weightsPath, decoder: decoderPath }, openWeightsFile),
    files,
    notice,
  };
}

/**
 * Opens a `.safetensors` file, all shards of a `.safetensors.index.json`, or a file of `torch.save`.
 *
 * @throws CheckpointError when the files are missing or damaged
 */
export async function openWeightsFile(path: string): Promise<Weights> {
  if (isShardIndex(path)) return openShardedFile(path);
  if (isSafetensors(path)) return openSafetensorsFile(path);
  if (isTorchFile(path)) return openTorchFile(path);
  throw new CheckpointError(`${path}: not a .safetensors file, .safetensors.index.json or file of torch.save (.pth)`);
}

/**
 * Opens a file of `torch.save` (.pt, .pth, .ckpt, .bin); tensors are read when they are asked for. Nothing in it is executed.
 *
 * @throws CheckpointError (see openTorch)
 */
export async function openTorchFile(path: string): Promise<Weights> {
  return openTorch(await openFileSource(path));
}

/**
 * What a single word stands for that is no path here: an id on the hub, or a folder.
 *
 * @throws ConfigError where it stands for nothing
 */
export type NamedModels = (word: string) => string;

/**
 * Finds the files of a checkpoint, downloading them where needed.
 *
 * @param idOrPath an id on the hub as in "mit-han-lab/dc-ae-f32c32-in-1.0", a folder, a `.safetensors` file or a shard index
 * @param named the models that have names of one word; without it such a word is an id
 * @throws CheckpointError when they can't be found or loaded, ConfigError for options that make no sense
 */
export async function resolveModelFiles(
  idOrPath: string,
  options: ResolveModelOptions = {},
  named?: NamedModels,
): Promise<ModelFiles> {
  const local = await resolveLocal(idOrPath, options);
  if (local !== undefined) return local;
  if (named !== undefined && idOrPath !== "" && !/[/\\]/.test(idOrPath)) {
    const meant = rethrowAs(CheckpointError, `${idOrPath}: no such file or folder, and `, () => named(idOrPath));
    return resolveModelFiles(meant, options);
  }
  if (!isModelId(idOrPath)) {
    throw new CheckpointError(`${idOrPath}: no such file or folder, and not a model id of the form organization/name`, {
      hint: "Check the path.",
    });
  }
  const offline = options.offline ?? isTrue(process.env.HF_HUB_OFFLINE);
  const request = hubRequest(idOrPath, options, offline);
  if (offline) return resolveOffline(request);
  // A commit can't change: what the cache has of it needs no request. What is damaged there is loaded again.
  const cached = isCommitHash(request.revision) ? await resolveCached(request).catch(() => undefined) : undefined;
  return cached?.configPath === undefined ? resolveOnline(request) : cached;
}

async function resolveLocal(path: string, options: ResolveModelOptions): Promise<ModelFiles | undefined> {
  const stats = await stat(path).catch((error: unknown) => {
    if (["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(errorCode(error) ?? "")) return undefined;
    throw fileError(error, path, "read", CheckpointError);
  });
  const halves = stats === undefined ? await halvesOf(path) : undefined;
  if (stats === undefined && halves === undefined) return undefined;
  if (options.revision !== undefined) {
    throw new ConfigError(`revision "${options.revision}" has no effect: ${path} is a local path`);
  }
  if (halves !== undefined) return halfFiles(path, dirname(resolve(path)), halves);
  if (stats?.isDirectory()) {
    const folder = join(resolve(path), ...(options.subfolder ? checkSubfolder(options.subfolder).split("/") : []));
    const names = await readdir(folder).catch((error: unknown) => {
      throw fileError(error, folder, "read", CheckpointError);
    });
    const [found, ...others] = findHalves(names);
    // What has one of the known names is the whole model, in one file.
    const hasWhole = names.some((name) => (options.stems ?? WEIGHT_STEMS).some((stem) => name.startsWith(`${stem}.`)));
    if (found !== undefined && others.length === 0 && !hasWhole) return halfFiles(path, folder, found);
    return localFiles(path, folder, names, selectWeights(names, folder, options.stems));
  }
  if (!isSafetensors(path) && !isShardIndex(path) && !isTorchFile(path)) {
    throw new CheckpointError(
      `${path}: not a folder, a .safetensors file, a .safetensors.index.json or a file of torch.save (.pth)`,
    );
  }
  if (options.subfolder) throw new ConfigError(`subfolder "${options.subfolder}" has no effect: ${path} is a file`);
  const folder = dirname(resolve(path));
  return localFiles(path, folder, await presentFiles(folder), basename(path));
}

/** The files whose names begin with `path` and end with `_encoder.pth` and `_decoder.pth`, or in `.safetensors`. */
async function halvesOf(path: string): Promise<Halves | undefined> {
  const stem = basename(path);
  const names = await readdir(dirname(resolve(path))).catch(() => []);
  const found = findHalves(names).filter((halves) => halves.stem === stem);
  return found.find(({ encoder, decoder }) => encoder !== undefined && decoder !== undefined) ?? found[0];
}

async function halfFiles(source: string, folder: string, { encoder, decoder }: Halves): Promise<ModelFiles> {
  const first = localFiles(source, folder, await presentFiles(folder), (encoder ?? decoder) as string);
  return encoder === undefined || decoder === undefined ? first : { ...first, decoderPath: join(folder, decoder) };
}

function localFiles(source: string, folder: string, names: readonly string[], weights: string): ModelFiles {
  const configPath = names.includes(CONFIG_FILE) ? join(folder, CONFIG_FILE) : undefined;
  return { source, configPath, weightsPath: join(folder, weights), origin: "local" };
}

function hubRequest(id: string, options: ResolveModelOptions, offline: boolean): SnapshotRequest {
  const token = offline ? undefined : checkToken(options.token ?? process.env.HF_TOKEN);
  const hubUrl = checkHubUrl(options.hubUrl ?? (process.env.HF_ENDPOINT || DEFAULT_HUB_URL));
  const { signal, timeout } = options;
  return {
    id,
    token,
    revision: checkRevision(options.revision ?? DEFAULT_REVISION),
    subfolder: options.subfolder ? checkSubfolder(options.subfolder) : "",
    stems: options.stems,
    hubUrl,
    fetch: hubFetch(options.fetch ?? fetch, { hubUrl, token, signal, timeout }),
    signal,
    onProgress: options.onProgress,
    retries: options.retries ?? 3,
    modelFolder: modelCacheFolder(id, options.cacheDir),
  };
}

async function resolveOnline(request: SnapshotRequest): Promise<ModelFiles> {
  const { id, revision, hubUrl, token } = request;
  try {
    const { commit, folder, weights, hasConfig } = await downloadSnapshot(request);
    const names = hasConfig ? [CONFIG_FILE] : [];
    return { ...localFiles(id, folder, names, weights), origin: "hub", commit };
  } catch (error) {
    request.signal?.throwIfAborted();
    const reason = networkReason(error);
    const cause = reason === undefined ? fileError(error, request.modelFolder, "write", CheckpointError) : error;
    const explained = hubError(cause, { id, revision, hubUrl, hasToken: token !== undefined });
    if (reason === undefined) throw explained;
    // Without a connection a complete copy in the cache is better than nothing, but it may be out of date.
    const cached = await resolveCached(request).catch(() => undefined);
    if (cached === undefined) throw explained;
    return {
      ...cached,
      notice: `No connection to ${hubUrl} (${reason}); using commit ${cached.commit} of ${id} from the cache.`,
    };
  }
}

/** What the cache has; rejects when something is missing there, gives undefined when it doesn't know the revision. */
async function resolveCached(request: SnapshotRequest): Promise<ModelFiles | undefined> {
  const commit = await cachedCommit(request.modelFolder, request.revision);
  if (commit === undefined) return undefined;
  const folder = join(snapshotFolder(request.modelFolder, commit), ...request.subfolder.split("/"));
  const names = await presentFiles(folder);
  if (names.length === 0) return undefined;
  const weights = selectWeights(names, folder, request.stems);
  if (isShardIndex(weights)) {
    const { shards } = parseShardIndex(await readSmallFile(join(folder, weights), MAX_INDEX_BYTES), weights);
    const missing = shards.filter((shard) => !names.includes(shard));
    if (missing.length > 0)
      throw new CheckpointError(`${folder}: ${missing.length} of ${shards.length} shards are missing`);
  }
  return { ...localFiles(request.id, folder, names, weights), origin: "cache", commit };
}

async function resolveOffline(request: SnapshotRequest): Promise<ModelFiles> {
  let cause: unknown;
  try {
    const cached = await resolveCached(request);
    if (cached !== undefined) return cached;
  } catch (error) {
    cause = error;
  }
  const detail = cause === undefined ? "" : ` (${errorMessage(cause)})`;
  throw new CheckpointError(
    `${request.id}: offline mode is on, and revision "${request.revision}" isn't complete in the cache ${request.modelFolder}${detail}`,
    { cause, hint: "Load it once without offline mode (HF_HUB_OFFLINE), or give a local folder." },
  );
}

function isTrue(text: string | undefined): boolean {
  return /^(1|true|yes|on)$/i.test(text ?? "");
}

/** The files of a model's halves; one may lack. */
interface Halves {
  /** What stands before `_encoder` and `_decoder`. */
  readonly stem: string;
  readonly encoder?: string | undefined;
  readonly decoder?: string | undefined;
}

/** The models among files that come as halves: of one stem and ending. */
function findHalves(fileNames: readonly string[]): Halves[] {
  const found = new Map<string, { stem: string; encoder?: string; decoder?: string }>();
  for (const name of [...fileNames].sort()) {
    const [, stem, part, ending] = /^(.+)_(encoder|decoder)(\.pth|\.pt|\.safetensors)$/.exec(name) ?? [];
    if (stem === undefined) continue;
    const halves = found.get(`${stem}${ending}`) ?? { stem };
    found.set(`${stem}${ending}`, { ...halves, [part as "encoder"]: name });
  }
  return [...found.values()];
}

/**
 * Both halves as one set of weights, under the names of the files with the part in front: `encoder.0.weight`.
 *
 * @param open opens one file
 */
async function openHalves(
  files: { readonly encoder: string; readonly decoder: string },
  open: (path: string) => Promise<Weights>,
): Promise<Weights> {
  const encoder = await open(files.encoder);
  let decoder: Weights;
  try {
    decoder = await open(files.decoder);
  } catch (error) {
    return failClosed(error, [() => encoder.close()]);
  }
  const halves = { encoder, decoder };
  const entries = MODEL_PARTS.flatMap((part) =>
    [...halves[part].entries].map(([name, entry]) => {
      const prefixed = `${part}.${name}`;
      return [prefixed, { ...entry, name: prefixed }] as const;
    }),
  );
  return {
    source: `${files.encoder} and ${files.decoder}`,
    entries: new Map(entries),
    close: () => closeAll([() => encoder.close(), () => decoder.close()]),
  };
}
