/**
 * Writes safetensors: the header first, then one array after the other, so that one array at a time is in memory.
 * Files are written through safetensors-file.node.ts, which does it atomically.
 */
import { CheckpointError } from "../errors.js";
import { quoted } from "./json-text.js";
import { planSafetensors, type SafetensorsLayout, type WritableEntry } from "./safetensors-layout.js";
import { bytesOfTensor } from "./tensor-bytes.js";

/** Takes bytes in order. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<void> | void;
}

export interface WriteProgress {
  /** The array that was just written. */
  readonly name: string;
  readonly writtenBytes: number;
  readonly totalBytes: number;
}

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
