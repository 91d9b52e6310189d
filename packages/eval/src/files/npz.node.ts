/**
 * NumPy's .npz archives (a zip of .npy files), plain or deflated, read in pieces: reference archives of ADM hold 10,000
 * pictures in one array and don't fit into memory.
 *
 * Sizes in the archive are claims of a stranger: the header of the array must agree with them, and inflating ends with
 * an error at the first byte too many. Core's zip directory says where members are, and zlib inflates them: a library (yauzl) would be a
 * second reader of the same archives, with fewer checks.
 */
import { Readable } from "node:stream";
import { crc32, createInflateRaw } from "node:zlib";
import { DataError, DcaeError, type DType, type Tensor } from "@dcae/core";
import {
  type ByteSource,
  bytesOfTensor,
  decodeNpy,
  encodeNpyHeader,
  openFileSource,
  parseNpyHeader,
  readZipDirectory,
  writeFileAtomic,
  type ZipMember,
  zipDataOffset,
} from "@dcae/core/checkpoint";
import { byteSize, sizeOf } from "@dcae/core/graph";
import { ZipFile } from "yazl";

export interface NpzArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly fortranOrder: boolean;
}

export interface NpzFile {
  readonly path: string;
  /** Names of the arrays, without ".npy". */
  readonly names: readonly string[];
  /** CRC-32 of an array's bytes, as the archive's directory says. */
  checksum(name: string): number;
  /** What an array is, from its header. */
  describe(name: string): Promise<NpzArray>;
  /**
   * Reads a whole array.
   *
   * @param maxBytes larger ones are refused before anything is allocated (default 1 GiB)
   */
  read(name: string, maxBytes?: number): Promise<Tensor>;
  /** The items of the first axis as raw bytes, `count` items at a time (the last piece may have fewer). C order only. */
  items(name: string, count: number): AsyncGenerator<Uint8Array>;
  close(): Promise<void>;
}

const DEFAULT_MAX_BYTES = 2 ** 30;
const PIECE = 2 ** 20;
const STORED = 0;
const DEFLATED = 8;

/**
 * Opens an archive.
 *
 * @throws DataError when the file can't be read or isn't an archive of arrays
 */
export async function openNpz(path: string): Promise<NpzFile> {
  const source = await openFileSource(path).catch((error: unknown) => {
    if (!(error instanceof DcaeError)) throw error;
    // The source speaks of checkpoints; for arrays the same lines are data errors.
    throw new DataError(error.message, { cause: error, ...(error.hint === undefined ? {} : { hint: error.hint }) });
  });
  try {
    const members = new Map<string, ZipMember>();
    for (const [name, member] of await readZipDirectory(source)) {
      if (name.endsWith(".npy")) members.set(name.slice(0, -".npy".length), member);
    }
    return npzFile(path, source, members);
  } catch (error) {
    await source.close();
    throw error;
  }
}

function npzFile(path: string, source: ByteSource, members: ReadonlyMap<string, ZipMember>): NpzFile {
  function memberOf(name: string): ZipMember {
    const member = members.get(name);
    if (member === undefined) {
      throw new DataError(`${path}: has no array "${name}", only ${[...members.keys()].join(", ") || "none at all"}`);
    }
    return member;
  }

  async function describe(name: string): Promise<NpzArray & { readonly dataOffset: number }> {
    const member = memberOf(name);
    const content = contentOf(source, member, `${path}: ${name}`);
    const { value } = await content.next();
    await content.return(undefined);
    const header = parseNpyHeader(value ?? new Uint8Array(), `${path}: ${name}`);
    const bytes = sizeOf(header.shape) * byteSize(header.dtype);
    if (bytes !== member.size - header.dataOffset) {
      throw damaged(
        `${path}: ${name}`,
        `an array of ${header.dtype} with shape (${header.shape.join(", ")}) has ${bytes} bytes, the archive has ${member.size - header.dataOffset}`,
      );
    }
    return header;
  }

  return {
    path,
    names: [...members.keys()],
    checksum: (name) => memberOf(name).crc32,
    describe,
    async read(name, maxBytes = DEFAULT_MAX_BYTES) {
      const member = memberOf(name);
      if (member.size > maxBytes) {
        throw new DataError(`${path}: "${name}" has ${member.size} bytes, more than the ${maxBytes} that are expected`);
      }
      // Before memory is allocated for it, the header must be one.
      await describe(name);
      const bytes = allocate(member.size, `${path}: ${name}`);
      let at = 0;
      for await (const piece of contentOf(source, member, `${path}: ${name}`)) {
        bytes.set(piece, at);
        at += piece.length;
      }
      return decodeNpy(bytes, `${path}: ${name}`);
    },
    async *items(name, count) {
      const { shape, fortranOrder, dataOffset } = await describe(name);
      const [length = 0] = shape;
      if (fortranOrder || shape.length === 0) {
        throw new DataError(`${path}: "${name}" can't be read item by item`, { hint: "Save it in C order." });
      }
      const member = memberOf(name);
      if (length === 0 || member.size === dataOffset) return;
      const itemBytes = (member.size - dataOffset) / length;
      const piece = allocate(itemBytes * Math.min(count, length), `${path}: ${name}`);
      yield* inPieces(contentOf(source, member, `${path}: ${name}`), dataOffset, piece);
    },
    close: () => source.close(),
  };
}

function allocate(length: number, name: string): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new DataError(`${name}: not enough memory for ${length} bytes`, { cause });
  }
}

/** Cuts a stream of bytes, without its first `skip` bytes, into pieces as long as `first`. */
async function* inPieces(
  stream: AsyncIterable<Uint8Array>,
  skip: number,
  first: Uint8Array,
): AsyncGenerator<Uint8Array> {
  const size = first.length;
  let toSkip = skip;
  let piece = first;
  let filled = 0;
  for await (const chunk of stream) {
    let from = Math.min(toSkip, chunk.length);
    toSkip -= from;
    while (from < chunk.length) {
      const part = chunk.subarray(from, Math.min(chunk.length, from + size - filled));
      piece.set(part, filled);
      filled += part.length;
      from += part.length;
      if (filled === size) {
        yield piece;
        piece = new Uint8Array(size);
        filled = 0;
      }
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

async function* storedBytes(source: ByteSource, member: ZipMember): AsyncGenerator<Uint8Array> {
  const start = await zipDataOffset(source, member);
  for (let done = 0; done < member.storedSize; done += PIECE) {
    yield await source.read(start + done, Math.min(PIECE, member.storedSize - done));
  }
}

/** The content of a member, checked against the size and checksum that the archive claims. */
async function* contentOf(source: ByteSource, member: ZipMember, name: string): AsyncGenerator<Uint8Array> {
  if (member.method !== STORED && member.method !== DEFLATED) {
    throw new DataError(`${name}: compressed by method ${member.method}; stored and deflated members are read`);
  }
  const stored = storedBytes(source, member);
  let size = 0;
  let checksum = 0;
  try {
    for await (const piece of member.method === STORED ? stored : inflated(stored)) {
      size += piece.length;
      if (size > member.size) throw damaged(name, `it has more than the ${member.size} bytes that the archive claims`);
      checksum = crc32(piece, checksum);
      yield piece;
    }
  } catch (error) {
    if (error instanceof DcaeError) throw error;
    throw damaged(name, error instanceof Error ? error.message : String(error));
  }
  if (size !== member.size) throw damaged(name, `it has ${size} bytes, the archive claims ${member.size}`);
  if (checksum !== member.crc32) throw damaged(name, "its checksum is wrong");
}

async function* inflated(stored: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const input = Readable.from(stored);
  const inflate = createInflateRaw({ chunkSize: PIECE });
  input.on("error", (error) => inflate.destroy(error));
  input.pipe(inflate);
  try {
    for await (const piece of inflate) yield piece as Uint8Array;
  } finally {
    input.destroy();
    inflate.destroy();
  }
}

function damaged(name: string, problem: string): DataError {
  return new DataError(`${name}: ${problem}`, { hint: "The archive is damaged; get it again." });
}

// Writes .npz archives (a zip of .npy files) that `numpy.load` reads, atomically. Arrays are stored or deflated, piece by
// piece, so that they may be made while they are written. Sizes are written as zip64.

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
