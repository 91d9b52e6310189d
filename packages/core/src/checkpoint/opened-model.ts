/**
 * A checkpoint: which files of a folder or repository it is made of, `config.json` and the weights (one safetensors file or
 * shards), and what is open of it: its config as written, and its weights, still unread. What the config means is decided by the
 * models, not here. Everything else in a repository (other formats, samples, READMEs) is left alone.
 */
import type { OptionNames } from "../check-options.js";
import { CheckpointError, ConfigError } from "../errors.js";
import { isJsonObject, parseJson } from "./json-text.js";
import type { Weights } from "./weights.js";

/** Configs have a few kilobytes. */
export const MAX_CONFIG_BYTES = 4_000_000;

/** A model's files, opened: configuration and weights. */
export interface OpenedModel {
  /** For messages: the id, path or URL that was asked for. */
  readonly source: string;
  /** `config.json` as an object; undefined when there is none. */
  readonly config: Readonly<Record<string, unknown>> | undefined;
  /** For messages: the path or URL of `config.json`. */
  readonly configSource: string;
  /** Close them when done. */
  readonly weights: Weights;
  /** Something the user should know, a full sentence; undefined normally. */
  readonly notice?: string | undefined;
}

/**
 * A model by the addresses of its files, as bundlers make them: `new URL("./model.safetensors", import.meta.url)`; or by the files
 * themselves, as somebody chose them. They may have any name.
 */
export interface ModelUrls {
  /** For messages. */
  readonly name: string;
  /** Of its `config.json`. */
  readonly config: URL | string | Blob;
  /** Of its weights, one `.safetensors` file. */
  readonly weights: URL | string | Blob;
}

/** Where a model is: by name (id, path or URL), the URLs of its files or the files, or its weights alone, a chosen `File`. */
export type ModelSource = string | ModelUrls | Blob;

/**
 * What messages call a model.
 *
 * @throws ConfigError for what is no source of a model
 */
export function nameOfSource(source: ModelSource): string {
  if (typeof source === "string") return source;
  if (source instanceof Blob) return nameOfBlob(source);
  const isUrl = (url: unknown) => url instanceof URL || url instanceof Blob || typeof url === "string";
  if (typeof source === "object" && source !== null && isUrl(source.config) && isUrl(source.weights)) {
    return source.name ?? (source.weights instanceof Blob ? nameOfBlob(source.weights) : String(source.weights));
  }
  throw new ConfigError(`a model is named by a text or by { name, config, weights } with URLs, got ${typeof source}`, {
    hint: "Give a repository of the hub, a path or URL, or smallF32 of @dcae/core/small-f32.",
  });
}

/** What messages call a chosen file. */
export function nameOfBlob(blob: Blob): string {
  return (blob as { readonly name?: string }).name ?? "Blob";
}

/** @throws ConfigError for options that say where in a repository a model is, which it isn't in */
export function checkPlaceless(source: ModelUrls | Blob, { revision, subfolder }: FetchModelOptions): void {
  const useless = revision !== undefined ? "revision" : subfolder !== undefined ? "subfolder" : undefined;
  if (useless !== undefined) {
    throw new ConfigError(`${useless}: it has no effect on ${nameOfSource(source)}, whose files are given themselves`);
  }
}

/** Bytes that arrived of one file. */
export interface DownloadProgress {
  /** Path inside of the repository. */
  readonly file: string;
  readonly loadedBytes: number;
  /** undefined when the server doesn't say. */
  readonly totalBytes: number | undefined;
}

/** Where a model is, and how it is brought here. */
export interface FetchModelOptions {
  /** Branch, tag or commit on the hub; "main" by default. An error for local paths. */
  readonly revision?: string | undefined;
  /** Folder inside of the repository or local folder, or below the URL, as in "vae". */
  readonly subfolder?: string | undefined;
  /** Access token of the hub; in Node the environment variable HF_TOKEN by default. */
  readonly token?: string | undefined;
  /** Base URL of the hub; https://huggingface.co by default, in Node HF_ENDPOINT before it. */
  readonly hubUrl?: string | undefined;
  /** Called while files are downloaded. */
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds without a byte after which a connection counts as broken; 60,000 by default. */
  readonly timeout?: number | undefined;
  /** Replaces the global `fetch`, for proxies. */
  readonly fetch?: typeof fetch | undefined;
  /** File names of weights without ending; "model" and "diffusion_pytorch_model" by default. */
  readonly stems?: readonly string[] | undefined;
}

/** Where a model is, and how a browser brings it. */
export interface WebFetchOptions extends FetchModelOptions {
  /**
   * Name of a cache of the browser (Cache API) that keeps what is downloaded: what lies there isn't asked for again, even where it has
   * changed since. Files that find no room there are downloaded again next time. Default: the browser's HTTP cache alone.
   */
  readonly cache?: string | undefined;
}

export const FETCH_OPTIONS: OptionNames<FetchModelOptions> = {
  revision: true,
  subfolder: true,
  token: true,
  hubUrl: true,
  onProgress: true,
  signal: true,
  timeout: true,
  fetch: true,
  stems: true,
};

export const WEB_FETCH_OPTIONS: OptionNames<WebFetchOptions> = { ...FETCH_OPTIONS, cache: true };

/**
 * Reads the bytes of a `config.json`.
 *
 * @throws CheckpointError when it isn't a JSON object, or has a key twice
 */
export function parseModelConfig(bytes: Uint8Array, name: string): Readonly<Record<string, unknown>> {
  const value = parseJson(bytes, name);
  if (!isJsonObject(value)) throw new CheckpointError(`${name} isn't a JSON object`);
  return value;
}

export const CONFIG_FILE = "config.json";
const SINGLE_ENDING = ".safetensors";
const INDEX_ENDING = ".safetensors.index.json";

/** File names without ending: official checkpoints, then diffusers ones. */
export const WEIGHT_STEMS: readonly string[] = ["model", "diffusion_pytorch_model"];

/** File name endings of checkpoints that can't be read here, for a better message. */
const OTHER_FORMATS = /\.(msgpack|h5|onnx|gguf)$/i;

/** Whether a file name is that of a shard index. */
export function isShardIndex(fileName: string): boolean {
  return fileName.endsWith(INDEX_ENDING);
}

/** Whether a file name is that of a safetensors file. */
export function isSafetensors(fileName: string): boolean {
  return fileName.endsWith(SINGLE_ENDING);
}

/** Whether a file name is one that `torch.save` files go by. */
export function isTorchFile(fileName: string): boolean {
  return /\.(bin|ckpt|pt|pth)$/i.test(fileName);
}

/**
 * Chooses the weights in a folder: the file (or shard index) with one of the known names, or the only safetensors file.
 *
 * @param fileNames names in the folder
 * @param where the folder or repository, for messages
 * @returns the name of a `.safetensors` file or of a `.safetensors.index.json`
 * @throws CheckpointError when there are none, or several between which only the caller can choose
 */
export function selectWeights(
  fileNames: readonly string[],
  where: string,
  stems: readonly string[] = WEIGHT_STEMS,
): string {
  const present = new Set(fileNames);
  const candidates = stems.flatMap((stem) =>
    // A single file wins over an index of the same name: both hold the same weights.
    [`${stem}${SINGLE_ENDING}`, `${stem}${INDEX_ENDING}`].filter((name) => present.has(name)).slice(0, 1),
  );
  const files = fileNames.filter(isSafetensors);
  const choices = candidates.length > 0 ? candidates : files;
  const [first, ...others] = choices;
  if (first === undefined) {
    const torch = fileNames.filter(isTorchFile);
    const other = fileNames.filter((name) => OTHER_FORMATS.test(name));
    throw new CheckpointError(
      `${where}: no weights found (expected ${stems.map((stem) => stem + SINGLE_ENDING).join(" or ")})`,
      torch.length > 0
        ? { hint: `Found ${shortList(torch)}: give the path of the file itself.` }
        : other.length > 0
          ? { hint: `Found ${shortList(other)}; only safetensors and torch.save files are read: convert it first.` }
          : {},
    );
  }
  if (others.length > 0) {
    throw new CheckpointError(`${where}: several checkpoints (${shortList(choices)})`, {
      hint: "Download one of them, and give the path of its file.",
    });
  }
  return first;
}

function shortList(names: readonly string[]): string {
  return names.length > 4 ? `${names.slice(0, 4).join(", ")} and ${names.length - 4} more` : names.join(", ");
}
