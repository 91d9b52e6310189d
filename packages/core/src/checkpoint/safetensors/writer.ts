/**
 * Writes safetensors: the header first, then one array after the other, so that one array at a time is in memory. Files are
 * written through file.node.ts, which does it atomically.
 *
 * Order and spelling are those of the format's reference implementation (dtypes of larger alignment first, then names by
 * their UTF-8 bytes; compact JSON, padded with spaces to a multiple of 8), so that the same weights give the same bytes.
 */
import { CheckpointError, ShapeError } from "../../errors.js";
import { byteSize, type DType } from "../../graph/dtype.js";
import { sizeOf, type Tensor } from "../../graph/tensor.js";
import { quoted } from "../json-text.js";
import { bytesOfTensor } from "../weights.js";
import { dtypeToSafetensors, LENGTH_FIELD_BYTES, MAX_HEADER_BYTES } from "./reader.js";

/** A named array that a writer asks for when its turn comes. A `WeightEntry` is one. */
export interface WritableEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Gives the array; its dtype and shape must be those announced. */
  read(): Tensor | Promise<Tensor>;
}

/** Tensors in memory as entries for a writer. */
export function tensorEntries(tensors: Iterable<readonly [string, Tensor]>): WritableEntry[] {
  return Array.from(tensors, ([name, tensor]) => ({
    name,
    dtype: tensor.dtype,
    shape: tensor.shape,
    read: () => tensor,
  }));
}

/** Size of an entry's data in bytes. */
export function entryBytes(entry: Pick<WritableEntry, "dtype" | "shape">): number {
  return sizeOf(entry.shape) * byteSize(entry.dtype);
}

/** Where everything of a safetensors file will lie, before anything is written. */
export interface SafetensorsLayout<E> {
  /** First bytes of the file: length field and padded JSON. */
  readonly header: Uint8Array;
  /** Entries in the order of their data, which follows the header without gaps. */
  readonly entries: readonly E[];
  /** Size of the whole file. */
  readonly byteLength: number;
}

const encoder = new TextEncoder();

/**
 * Plans a file.
 *
 * @throws CheckpointError for a name used twice or reserved, and where the header would exceed the format's limit
 * @throws ShapeError for a shape that isn't a list of non-negative integers
 */
export function planSafetensors<E extends Omit<WritableEntry, "read">>(
  entries: Iterable<E>,
  metadata: Readonly<Record<string, string>> = {},
): SafetensorsLayout<E> {
  const sorted = Array.from(entries, (entry) => ({ entry, key: encoder.encode(entry.name) }))
    .sort((a, b) => rank(b.entry) - rank(a.entry) || compareBytes(a.key, b.key))
    .map(({ entry }) => entry);
  const json = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) json.set("__metadata__", metadata);
  let position = 0;
  for (const entry of sorted) {
    checkEntry(entry, json);
    const end = position + entryBytes(entry);
    if (!Number.isSafeInteger(end)) throw new ShapeError(`tensor ${quoted(entry.name)}: the file would be too large`);
    json.set(entry.name, {
      dtype: dtypeToSafetensors(entry.dtype).name,
      shape: entry.shape,
      data_offsets: [position, end],
    });
    position = end;
  }
  const header = encodeHeader(json);
  return { header, entries: sorted, byteLength: header.length + position };
}

function rank(entry: Omit<WritableEntry, "read">): number {
  return dtypeToSafetensors(entry.dtype).rank;
}

function checkEntry(entry: Omit<WritableEntry, "read">, seen: ReadonlyMap<string, unknown>): void {
  if (entry.name === "__metadata__") throw new CheckpointError('a tensor can\'t be named "__metadata__"');
  if (seen.has(entry.name)) throw new CheckpointError(`two tensors have the name ${quoted(entry.name)}`);
  if (!entry.shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0)) {
    throw new ShapeError(`tensor ${quoted(entry.name)}: can't write shape [${entry.shape.join(", ")}]`);
  }
}

function encodeHeader(json: ReadonlyMap<string, unknown>): Uint8Array {
  // Built by hand because an object would move integer-like names to the front.
  const fields = Array.from(json, ([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  const text = encoder.encode(`{${fields.join(",")}}`);
  const padded = Math.ceil(text.length / 8) * 8;
  if (padded > MAX_HEADER_BYTES) {
    throw new CheckpointError(`the safetensors header would have ${padded} bytes, the limit is ${MAX_HEADER_BYTES}`);
  }
  const header = new Uint8Array(LENGTH_FIELD_BYTES + padded).fill(" ".charCodeAt(0));
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(text, LENGTH_FIELD_BYTES);
  return header;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Takes bytes in order. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<void> | void;
}

/** How far a file is written. */
export interface WriteProgress {
  /** The array that was just written. */
  readonly name: string;
  readonly writtenBytes: number;
  readonly totalBytes: number;
}

/** Options of the writers of safetensors files. */
export interface SafetensorsWriteOptions {
  /** Notes in the file; `{format: "pt"}` by default, which other libraries ask for. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly onProgress?: ((progress: WriteProgress) => void) | undefined;
  /** Stops between two arrays; the call then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export const DEFAULT_METADATA: Readonly<Record<string, string>> = { format: "pt" };

/**
 * The bytes of a safetensors file in memory.
 *
 * @throws CheckpointError for duplicate names and for arrays that aren't as announced
 */
export async function encodeSafetensors(
  entries: Iterable<WritableEntry>,
  options: SafetensorsWriteOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const layout = planSafetensors(entries, options.metadata ?? DEFAULT_METADATA);
  const out = new Uint8Array(layout.byteLength);
  let position = 0;
  const sink: ByteSink = {
    write(bytes) {
      out.set(bytes, position);
      position += bytes.length;
    },
  };
  await writeSafetensorsLayout(layout, sink, options);
  return out;
}

/** Writes a planned file into `sink`. */
export async function writeSafetensorsLayout(
  layout: SafetensorsLayout<WritableEntry>,
  sink: ByteSink,
  options: Omit<SafetensorsWriteOptions, "metadata"> = {},
): Promise<void> {
  options.signal?.throwIfAborted();
  await sink.write(layout.header);
  let writtenBytes = layout.header.length;
  for (const entry of layout.entries) {
    const bytes = await entryData(entry);
    options.signal?.throwIfAborted();
    await sink.write(bytes);
    writtenBytes += bytes.length;
    options.onProgress?.({ name: entry.name, writtenBytes, totalBytes: layout.byteLength });
  }
}

async function entryData(entry: WritableEntry): Promise<Uint8Array> {
  const tensor = await entry.read();
  const announced = `${entry.dtype}[${entry.shape.join(", ")}]`;
  const got = `${tensor.dtype}[${tensor.shape.join(", ")}]`;
  if (got !== announced) {
    throw new CheckpointError(`tensor ${quoted(entry.name)} was announced as ${announced}, but is ${got}`);
  }
  return bytesOfTensor(tensor);
}
