/**
 * Checkpoints in several safetensors files ("shards") with an index that says which tensor is where:
 *
 *   {"metadata": {"total_size": 123}, "weight_map": {"name": "model-00001-of-00002.safetensors", ...}}
 *
 * Source: the layout that huggingface_hub writes and diffusers and transformers read. Reading works over any way of opening a
 * shard by its file name, so that Node and the browser share it.
 */
import { CheckpointError, ConfigError } from "../../errors.js";
import { isJsonObject, parseJsonDocument, quoted, shownValue } from "../json-text.js";
import type { WeightEntry, Weights } from "../weights.js";
import { entryBytes, type WritableEntry } from "./writer.js";

/** Largest index that is read: far above a million tensors. */
export const MAX_INDEX_BYTES = 100_000_000;

/** Names shown in a message about many tensors. */
const MAX_LISTED = 5;

interface ShardIndex {
  /** Tensor name to shard file name. */
  readonly weightMap: ReadonlyMap<string, string>;
  /** File names of the shards, sorted. */
  readonly shards: readonly string[];
  /** Bytes of all arrays, where the index says so. */
  readonly totalSize: number | undefined;
}

/**
 * Reads an index.
 *
 * @param name for messages
 * @throws CheckpointError when it is damaged, or names a shard that isn't a plain file name in the index's own folder
 */
export function parseShardIndex(json: Uint8Array, name: string): ShardIndex {
  const { value: index, checkUniqueKeys } = parseJsonDocument(json, name);
  const map = isJsonObject(index) ? index.weight_map : undefined;
  if (!isJsonObject(index) || !isJsonObject(map)) {
    throw new CheckpointError(`${name}: a shard index must be an object with a "weight_map" object`);
  }
  const weightMap = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(map)) {
    if (typeof shard !== "string" || !isPlainFileName(shard)) {
      throw new CheckpointError(
        `${name}: tensor ${quoted(tensor)} is mapped to ${shownValue(shard)}, which isn't a .safetensors file name`,
        { hint: "Shards must lie in the folder of their index." },
      );
    }
    weightMap.set(tensor, shard);
  }
  checkUniqueKeys();
  if (weightMap.size === 0) throw new CheckpointError(`${name}: the shard index lists no tensors`);
  const metadata = index.metadata;
  const size = isJsonObject(metadata) ? metadata.total_size : undefined;
  const totalSize = typeof size === "number" && Number.isSafeInteger(size) ? size : undefined;
  return { weightMap, shards: [...new Set(weightMap.values())].sort(), totalSize };
}

/** A name without path, drive or stream separators, so that it can't lead out of its folder. */
function isPlainFileName(name: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_.+=@ -]*\.safetensors$/.test(name) && name.length <= 255;
}

/**
 * Opens all shards of an index as one set of weights and checks that each tensor is in the shard that the index names,
 * once, and that no shard holds others.
 *
 * @param name the index, for messages
 * @param openShard opens a shard by file name
 */
export async function openShards(
  index: ShardIndex,
  name: string,
  openShard: (fileName: string) => Promise<Weights>,
): Promise<Weights> {
  const opened = new Map<string, Weights>();
  const close = async () => {
    await Promise.all(Array.from(opened.values(), (shard) => shard.close()));
  };
  try {
    for (const fileName of index.shards) opened.set(fileName, await openShard(fileName));
    const entries = collectEntries(index, name, opened);
    return { source: name, entries, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function collectEntries(
  index: ShardIndex,
  name: string,
  opened: ReadonlyMap<string, Weights>,
): ReadonlyMap<string, WeightEntry> {
  const entries = new Map<string, WeightEntry>();
  const missing: string[] = [];
  for (const [tensor, fileName] of index.weightMap) {
    const entry = opened.get(fileName)?.entries.get(tensor);
    if (entry === undefined) missing.push(`${quoted(tensor)} in ${fileName}`);
    else entries.set(tensor, entry);
  }
  const extra: string[] = [];
  for (const [fileName, shard] of opened) {
    for (const tensor of shard.entries.keys()) {
      if (index.weightMap.get(tensor) !== fileName) extra.push(`${quoted(tensor)} in ${fileName}`);
    }
  }
  if (missing.length + extra.length > 0) {
    const problems = [listed("missing", missing), listed("not in the index", extra)].filter((text) => text !== "");
    throw new CheckpointError(`${name}: the shards don't match their index: ${problems.join("; ")}`, {
      hint: "Files of different checkpoints may be mixed, or a download is incomplete; get all files again.",
    });
  }
  return entries;
}

function listed(what: string, names: readonly string[]): string {
  if (names.length === 0) return "";
  const more = names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : "";
  return `${what}: ${names.slice(0, MAX_LISTED).join(", ")}${more}`;
}

/** The limit that other libraries use by default: 5 GB. */
const DEFAULT_MAX_SHARD_BYTES = 5_000_000_000;

export interface Shard {
  readonly fileName: string;
  readonly entries: readonly WritableEntry[];
}

interface ShardPlan {
  readonly shards: readonly Shard[];
  /** File name of the index and its content; undefined when one file without an index is enough. */
  readonly index: { readonly fileName: string; readonly text: string } | undefined;
}

/**
 * Plans the files: in the given order, a new shard where the next array would pass the limit. An array that is larger than
 * the limit gets a shard of its own.
 *
 * @param stem file name without ending, as in "model" or "diffusion_pytorch_model"
 * @param maxShardBytes most bytes of array data in a shard
 */
export function planShards(
  entries: Iterable<WritableEntry>,
  stem: string,
  maxShardBytes: number = DEFAULT_MAX_SHARD_BYTES,
): ShardPlan {
  if (!(maxShardBytes > 0)) throw new ConfigError(`maxShardBytes must be positive, got ${maxShardBytes}`);
  const groups: WritableEntry[][] = [];
  const names = new Set<string>();
  let totalBytes = 0;
  let shardBytes = Number.POSITIVE_INFINITY;
  for (const entry of entries) {
    if (names.has(entry.name)) throw new CheckpointError(`two tensors have the name ${quoted(entry.name)}`);
    names.add(entry.name);
    const bytes = entryBytes(entry);
    if (shardBytes + bytes > maxShardBytes) {
      groups.push([]);
      shardBytes = 0;
    }
    groups.at(-1)?.push(entry);
    shardBytes += bytes;
    totalBytes += bytes;
  }
  if (groups.length <= 1) {
    return { shards: [{ fileName: `${stem}.safetensors`, entries: groups[0] ?? [] }], index: undefined };
  }
  const five = (value: number) => String(value).padStart(5, "0");
  const shards = groups.map((group, i) => ({
    fileName: `${stem}-${five(i + 1)}-of-${five(groups.length)}.safetensors`,
    entries: group,
  }));
  return { shards, index: { fileName: `${stem}.safetensors.index.json`, text: indexText(shards, totalBytes) } };
}

function indexText(shards: readonly Shard[], totalBytes: number): string {
  const map = shards.flatMap(({ fileName, entries }) => entries.map(({ name }) => [name, fileName] as const));
  map.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  // fromEntries defines own properties, so a tensor named `__proto__` is safe.
  const index = { metadata: { total_size: totalBytes }, weight_map: Object.fromEntries(map) };
  return `${JSON.stringify(index, undefined, 2)}\n`;
}
