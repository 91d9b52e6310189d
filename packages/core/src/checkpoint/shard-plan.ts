/**
 * Splits weights into shards below a size limit, and names them as huggingface_hub does.
 */
import { CheckpointError, ConfigError } from "../errors.js";
import { quoted } from "./json-text.js";
import { entryBytes, type WritableEntry } from "./safetensors-layout.js";

/** The limit that other libraries use by default: 5 GB. */
export const DEFAULT_MAX_SHARD_BYTES = 5_000_000_000;

export interface Shard {
  readonly fileName: string;
  readonly entries: readonly WritableEntry[];
}

export interface ShardPlan {
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
