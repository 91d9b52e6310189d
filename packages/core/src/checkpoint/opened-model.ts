/**
 * A checkpoint that is open: its config as written, and its weights, still unread. What the config means is decided by
 * the models, not here.
 */
import { CheckpointError } from "../errors.js";
import { isJsonObject, parseJson } from "./json-text.js";
import type { Weights } from "./weights.js";

/** Configs have a few kilobytes. */
export const MAX_CONFIG_BYTES = 4_000_000;

export interface OpenedModel {
  /** For messages: the id, path or URL that was asked for. */
  readonly source: string;
  /** `config.json` as an object; undefined when there is none. */
  readonly config: Readonly<Record<string, unknown>> | undefined;
  /** Close them when done. */
  readonly weights: Weights;
  /** Something the user should know, a full sentence; undefined normally. */
  readonly notice?: string | undefined;
}

/** Bytes that arrived of one file. */
export interface DownloadProgress {
  /** Path inside of the repository. */
  readonly file: string;
  readonly loadedBytes: number;
  /** undefined when the server doesn't say. */
  readonly totalBytes: number | undefined;
}

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
