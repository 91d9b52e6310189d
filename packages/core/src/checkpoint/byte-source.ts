/**
 * Random access to bytes that may lie in memory, in a Blob or in a file, so that a reader asks for the ranges it needs
 * and nothing else is loaded. The file version is in file-source.node.ts, because this module must run in a browser.
 */
import { CheckpointError } from "../errors.js";
import { plural } from "../format-amount.js";

/** Bytes that are read by ranges: a file, a Blob, memory. */
export interface ByteSource {
  /** For messages: a path, URL or other name. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /** Absolute path, when the bytes are those of one local file. */
  readonly path?: string | undefined;
  /**
   * Reads exactly `length` bytes from `offset`. The result may be a view of memory that others see: don't write to it.
   *
   * @throws CheckpointError when the range isn't inside the source or can't be read
   */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Releases what the source holds. Reading afterwards is an error for files. */
  close(): Promise<void>;
}

/** Checks that a range lies inside of `source` before anything is allocated for it. */
export function checkRange(source: Pick<ByteSource, "name" | "size">, offset: number, length: number): void {
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!valid || offset + length > source.size) {
    throw new CheckpointError(`${source.name}: can't read ${plural(length, "byte")} at ${offset} of ${source.size}`);
  }
}

/** Bytes in memory. Reads are views, without a copy. */
export function bytesSource(bytes: Uint8Array, name = "bytes in memory"): ByteSource {
  return {
    name,
    size: bytes.byteLength,
    async read(offset, length) {
      checkRange(this, offset, length);
      return bytes.subarray(offset, offset + length);
    },
    async close() {},
  };
}

/** A Blob or File, as a browser's file picker gives it. Only the requested ranges are loaded. */
export function blobSource(blob: Blob, name = "Blob"): ByteSource {
  return {
    name,
    size: blob.size,
    async read(offset, length) {
      checkRange(this, offset, length);
      try {
        return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      } catch (cause) {
        throw new CheckpointError(`${name}: reading ${length} bytes at ${offset} failed`, {
          cause,
          hint: "The file may have changed since it was chosen; choose it again.",
        });
      }
    },
    async close() {},
  };
}
