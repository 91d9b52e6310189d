/**
 * Writes .npz archives (a zip of .npy files) that `numpy.load` reads, atomically. Arrays are stored or deflated, piece by piece, so
 * that they may be made while they are written. Sizes are written as zip64.
 */
import { Readable } from "node:stream";
import { DataError, type DType, type Tensor } from "@dcae/core";
import { bytesOfTensor, encodeNpyHeader, writeFileAtomic } from "@dcae/core/checkpoint";
import { ZipFile } from "yazl";

/** An array that is made while it is written. */
export interface StreamedArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Size of the content in bytes, which must be that of the shape. */
  readonly byteLength: number;
  /** The little-endian elements in C order. */
  readonly content: AsyncIterable<Uint8Array>;
}

export interface NpzWriteOptions {
  /** Deflate the arrays (default false, as `numpy.savez`). */
  readonly compress?: boolean;
}

/** The zero of the format's clock, which has no time zone: equal content gives equal files. */
const NO_DATE = new Date(1980, 0, 1);

/**
 * Writes `arrays` as members "<name>.npy".
 *
 * @throws DataError when the file can't be written, or a stream has another length than announced
 */
export async function writeNpz(
  path: string,
  arrays: Readonly<Record<string, Tensor | StreamedArray>>,
  { compress = false }: NpzWriteOptions = {},
): Promise<void> {
  await writeFileAtomic(path, async (file) => {
    const zip = new ZipFile();
    const output = zip.outputStream as Readable;
    const started: Readable[] = [];
    const options = { compress, mtime: NO_DATE, forceDosTimestamp: true, forceZip64Format: true };
    for (const [name, array] of Object.entries(arrays)) {
      zip.addReadStreamLazy(`${name}.npy`, options, (write) => {
        const content = Readable.from(npyBytes(name, array));
        started.push(content);
        // Pipes don't pass errors on.
        content.on("error", (error) => output.destroy(error));
        write(null, content);
      });
    }
    zip.end({ forceZip64Format: true, comment: "" });
    try {
      for await (const piece of output) await file.write(piece as Uint8Array);
    } finally {
      for (const content of started) content.destroy();
    }
  });
}

async function* npyBytes(name: string, array: Tensor | StreamedArray): AsyncGenerator<Uint8Array> {
  yield encodeNpyHeader(array.dtype, array.shape);
  if (!("content" in array)) {
    yield bytesOfTensor(array);
    return;
  }
  let done = 0;
  for await (const piece of array.content) {
    done += piece.length;
    yield piece;
  }
  if (done !== array.byteLength) {
    throw new DataError(`array "${name}" has ${done} bytes, ${array.byteLength} were announced`);
  }
}
