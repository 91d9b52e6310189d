/**
 * Loads a checkpoint into memory with `fetch`, for browsers (it needs nothing from Node): from the hub by id, or from any
 * folder on a web server by URL; or from chosen files, which are read where they lie. The browser's own cache applies, and one by name.
 */
import { missingFile } from "../../bundled-ahead.js";
import { CheckpointError, ConfigError, DcaeError, errorMessage, rethrowAs } from "../../errors.js";
import { type ByteSource, blobSource, bytesSource } from "../byte-source.js";
import {
  CONFIG_FILE,
  checkPlaceless,
  isSafetensors,
  isShardIndex,
  isTorchFile,
  MAX_CONFIG_BYTES,
  type ModelSource,
  type ModelUrls,
  nameOfBlob,
  nameOfSource,
  type OpenedModel,
  parseModelConfig,
  WEIGHT_STEMS,
  type WebFetchOptions,
} from "../opened-model.js";
import { openSafetensors } from "../safetensors/reader.js";
import { MAX_INDEX_BYTES, openShards, parseShardIndex } from "../safetensors/shards.js";
import { openTorch } from "../torch/torch-file.js";
import type { Weights } from "../weights.js";
import {
  checkHubUrl,
  checkRevision,
  checkSubfolder,
  checkToken,
  DEFAULT_HUB_URL,
  DEFAULT_REVISION,
  guardFetch,
  isModelId,
} from "./hub-id.js";

/** One part in so many of an announced size must have arrived before memory is allocated for all of it. */
const BELIEVED_PART = 8;

/**
 * Loads a checkpoint.
 *
 * @param source an id on the hub, the URL of a folder with config.json and weights, or of a `.safetensors` file; the URLs of both
 *   files, or the files themselves. Relative URLs start with a slash or a dot: `models/tiny` is an id, `./models/tiny` a folder beside the page
 * @param named what a single word stands for; without it such a word is an id
 * @throws CheckpointError when it can't be found, is cut off or damaged
 */
export async function fetchModel(
  source: ModelSource,
  options: WebFetchOptions = {},
  named?: (word: string) => string,
): Promise<OpenedModel> {
  const name = nameOfSource(source);
  if (source instanceof Blob) {
    checkPlaceless(source, options);
    return { source: name, config: undefined, configSource: name, weights: await openChosen(source) };
  }
  if (typeof source !== "string") return fetchUrls(source, name, options);
  const isWord = named !== undefined && source !== "" && !/[/\\]/.test(source);
  const idOrUrl = isWord ? rethrowAs(CheckpointError, `${source}: ${NO_ADDRESS}, and `, () => named(source)) : source;
  const { base, weightNames } = locate(idOrUrl, options);
  const get = (name: string) => fetchFile(base + name, name, options);
  const config = await get(CONFIG_FILE);
  for (const name of weightNames) {
    const bytes = await get(name);
    if (bytes === undefined) continue;
    return {
      source: idOrUrl,
      config: config && parseModelConfig(config, base + CONFIG_FILE),
      configSource: base + CONFIG_FILE,
      weights: await openFetched(bytes, base, name, get),
    };
  }
  throw new CheckpointError(
    `${idOrUrl}: no weights found (tried ${weightNames.map((name) => base + name).join(", ")})`,
    {
      hint: "Check the id or URL and the revision; a private model needs a token.",
    },
  );
}

const NO_ADDRESS = 'not a URL (relative ones begin with "/" or "./") or a repository (organization/name)';

/** The files at these URLs, whatever they are called there. */
async function fetchUrls(urls: ModelUrls, name: string, options: WebFetchOptions): Promise<OpenedModel> {
  checkPlaceless(urls, options);
  const get = async (place: URL | string, file: string) => {
    const url = String(place);
    const bytes = await fetchFile(url, file, options);
    if (bytes !== undefined) return bytesSource(bytes, url.startsWith("data:") ? `${name} ${file}` : url);
    const hint = "Check that the bundler put the model's files there.";
    throw new CheckpointError(...missingFile(`${name}: there is no file at ${url}`, hint));
  };
  const { config, weights } = urls;
  const text = config instanceof Blob ? blobSource(config, nameOfBlob(config)) : await get(config, CONFIG_FILE);
  if (text.size > MAX_CONFIG_BYTES)
    throw new CheckpointError(`${text.name}: too large for a config (${text.size} bytes)`);
  return {
    source: name,
    config: parseModelConfig(await text.read(0, text.size), text.name),
    configSource: text.name,
    weights:
      weights instanceof Blob
        ? await openChosen(weights)
        : await openSafetensors(await get(weights, "model.safetensors")),
  };
}

function openChosen(file: Blob): Promise<Weights> {
  const source: ByteSource = blobSource(file, nameOfBlob(file));
  return isTorchFile(source.name) ? openTorch(source) : openSafetensors(source);
}

/** The folder's URL with a trailing slash, and the file names to try. */
function locate(idOrUrl: string, options: WebFetchOptions): { base: string; weightNames: readonly string[] } {
  const stems = options.stems ?? WEIGHT_STEMS;
  const weightNames = stems.flatMap((stem) => [`${stem}.safetensors`, `${stem}.safetensors.index.json`]);
  const subfolder = options.subfolder ? `${checkSubfolder(options.subfolder)}/` : "";
  if (isModelId(idOrUrl)) {
    const hubUrl = checkHubUrl(options.hubUrl ?? DEFAULT_HUB_URL);
    const revision = encodeURIComponent(checkRevision(options.revision ?? DEFAULT_REVISION));
    return { base: `${hubUrl}/${idOrUrl}/resolve/${revision}/${subfolder}`, weightNames };
  }
  if (options.revision !== undefined) {
    throw new ConfigError(`revision "${options.revision}" has no effect: ${idOrUrl} is a URL`);
  }
  const slash = idOrUrl.lastIndexOf("/");
  const fileName = idOrUrl.slice(slash + 1);
  if (isSafetensors(fileName) || isShardIndex(fileName) || isTorchFile(fileName)) {
    return { base: idOrUrl.slice(0, slash + 1), weightNames: [fileName] };
  }
  return { base: `${idOrUrl.replace(/\/+$/, "")}/${subfolder}`, weightNames };
}

async function openFetched(
  bytes: Uint8Array,
  base: string,
  name: string,
  get: (name: string) => Promise<Uint8Array | undefined>,
): Promise<Weights> {
  if (isTorchFile(name)) return openTorch(bytesSource(bytes, base + name));
  if (!isShardIndex(name)) return openSafetensors(bytesSource(bytes, base + name));
  return openShards(parseShardIndex(bytes, base + name), base + name, async (shard) => {
    const content = await get(shard);
    if (content === undefined) throw new CheckpointError(`${base}${shard}: not found, though the index names it`);
    return openSafetensors(bytesSource(content, base + shard));
  });
}

/** The content of a URL, or undefined when there is nothing. */
async function fetchFile(url: string, file: string, options: WebFetchOptions): Promise<Uint8Array | undefined> {
  const maxBytes = file.endsWith(CONFIG_FILE) ? MAX_CONFIG_BYTES : isShardIndex(file) ? MAX_INDEX_BYTES : undefined;
  const { signal, timeout } = options;
  const request = guardFetch(options.fetch ?? fetch, { signal, timeout, maxBytes: () => maxBytes });
  const token = checkToken(options.token);
  // Bundlers write small files into the address itself, which needs no cache, and is nothing to print.
  const isInline = url.startsWith("data:");
  const shown = isInline ? `${file} (data: URL)` : url;
  const cache = options.cache === undefined || isInline ? undefined : await openCache(options.cache);
  try {
    const kept = await cache?.match(url);
    if (kept !== undefined) return await readBody(kept, shown, file, options);
    const response = await request(url, token === undefined ? {} : { headers: { Authorization: `Bearer ${token}` } });
    // Development servers answer with their start page where there is no file.
    const isPage = response.headers.get("content-type")?.startsWith("text/html") ?? false;
    if (response.status === 404 || (response.ok && isPage)) {
      await response.body?.cancel();
      return undefined;
    }
    if (!response.ok) {
      await response.body?.cancel();
      throw new CheckpointError(`${shown}: the server answers ${response.status}`, {
        hint:
          response.status === 401 || response.status === 403
            ? "Check the id; a private model needs a token."
            : "Try again later.",
      });
    }
    const bytes = await readBody(response, shown, file, options);
    await cache?.put(url, new Response(bytes as Uint8Array<ArrayBuffer>)).catch(() => undefined);
    return bytes;
  } catch (cause) {
    if (cause instanceof DcaeError || options.signal?.aborted) throw cause;
    throw new CheckpointError(`${shown}: download failed: ${errorMessage(cause)}`, {
      cause,
      hint: "Check the network, and that the server allows requests from this page (CORS).",
    });
  }
}

/** The part of the Cache API that matters here; Node's types don't have it. */
interface FileCache {
  match(url: string): Promise<Response | undefined>;
  put(url: string, response: Response): Promise<void>;
}

async function openCache(name: string): Promise<FileCache> {
  const { caches } = globalThis as { readonly caches?: { open(name: string): Promise<FileCache> } };
  if (caches !== undefined) return caches.open(name);
  throw new ConfigError(`cache: "${name}" can't be had, there is no Cache API here`, {
    hint: "Browsers have it on pages of https: and of localhost.",
  });
}

async function readBody(response: Response, url: string, file: string, options: WebFetchOptions): Promise<Uint8Array> {
  // With a content encoding the header counts compressed bytes.
  const length = response.headers.get("content-encoding") ? null : response.headers.get("content-length");
  const totalBytes = length !== null && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
  let loadedBytes = 0;
  const report = () => options.onProgress?.({ file, loadedBytes, totalBytes });
  report();
  // Known sizes are filled in place: pieces that are joined at the end would need the memory twice. An announced size is
  // believed once a part of it has arrived.
  let whole: Uint8Array | undefined;
  const pieces: Uint8Array[] = [];
  const reader = response.body?.getReader();
  for (let next = await reader?.read(); next !== undefined && !next.done; next = await reader?.read()) {
    const piece: Uint8Array = next.value;
    if (totalBytes !== undefined && loadedBytes + piece.length > totalBytes) {
      await reader?.cancel();
      throw new CheckpointError(`${url}: more bytes than announced`);
    }
    if (whole === undefined) pieces.push(piece);
    else whole.set(piece, loadedBytes);
    loadedBytes += piece.length;
    if (whole === undefined && totalBytes !== undefined && loadedBytes >= totalBytes / BELIEVED_PART) {
      whole = joined(pieces.splice(0), totalBytes, url);
    }
    report();
  }
  if (totalBytes !== undefined && loadedBytes !== totalBytes) {
    throw new CheckpointError(`${url}: the connection ended after ${loadedBytes} of ${totalBytes} bytes`, {
      hint: "Try again.",
    });
  }
  return whole ?? joined(pieces, loadedBytes, url);
}

/** `pieces` one after the other at the start of `length` bytes. */
function joined(pieces: readonly Uint8Array[], length: number, url: string): Uint8Array {
  const whole = allocate(length, url);
  let position = 0;
  for (const piece of pieces) {
    whole.set(piece, position);
    position += piece.length;
  }
  return whole;
}

function allocate(length: number, url: string): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new CheckpointError(`${url}: not enough memory for ${length} bytes`, { cause });
  }
}
