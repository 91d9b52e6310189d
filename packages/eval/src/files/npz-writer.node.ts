/**
 * Writes .npz archives that `numpy.load` reads, atomically. Members are stored or deflated, or streamed, for arrays that
 * don't fit into memory. Sizes are written as zip64.
 */
import { crc32, deflateRawSync } from "node:zlib";
import { DataError, type DType, type Tensor } from "@dcae/core";
import { type AtomicFile, encodeNpy, encodeNpyHeader, writeFileAtomic } from "@dcae/core/checkpoint";

/** An array that is made while it is written; always stored. */
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

interface Written {
  readonly name: Uint8Array;
  readonly flags: number;
  readonly method: number;
  readonly checksum: number;
  readonly storedSize: number;
  readonly size: number;
  readonly offset: number;
}

/** 1980-01-01, so that equal content gives equal files. */
const DOS_DATE = 0x21;
const ZIP64_VERSION = 45;
const UTF8_NAME = 1 << 11;
/** The checksum follows the content, because it wasn't known before. */
const DESCRIPTOR_FOLLOWS = 1 << 3;
const MAX_32 = 0xffffffff;

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
    const written: Written[] = [];
    for (const [name, array] of Object.entries(arrays)) {
      written.push(
        "content" in array ? await writeStream(file, name, array) : await writeTensor(file, name, array, compress),
      );
    }
    await writeDirectory(file, written);
  });
}

async function writeTensor(file: AtomicFile, name: string, tensor: Tensor, compress: boolean): Promise<Written> {
  const content = encodeNpy(tensor);
  const stored = compress ? deflateRawSync(content) : content;
  const member: Written = {
    name: new TextEncoder().encode(`${name}.npy`),
    flags: UTF8_NAME,
    method: compress ? 8 : 0,
    checksum: crc32(content),
    storedSize: stored.length,
    size: content.length,
    offset: file.position,
  };
  await file.write(localHeader(member));
  await file.write(stored);
  return member;
}

async function writeStream(file: AtomicFile, name: string, array: StreamedArray): Promise<Written> {
  const head = encodeNpyHeader(array.dtype, array.shape);
  const size = head.length + array.byteLength;
  const member: Written = {
    name: new TextEncoder().encode(`${name}.npy`),
    flags: UTF8_NAME | DESCRIPTOR_FOLLOWS,
    method: 0,
    checksum: 0,
    storedSize: size,
    size,
    offset: file.position,
  };
  await file.write(localHeader(member));
  await file.write(head);
  let checksum = crc32(head);
  let done = head.length;
  for await (const piece of array.content) {
    checksum = crc32(piece, checksum);
    done += piece.length;
    await file.write(piece);
  }
  if (done !== size) {
    throw new DataError(`array "${name}" has ${done - head.length} bytes, ${array.byteLength} were announced`);
  }
  const descriptor = new DataView(new ArrayBuffer(24));
  descriptor.setUint32(0, 0x08074b50, true);
  descriptor.setUint32(4, checksum, true);
  descriptor.setBigUint64(8, BigInt(size), true);
  descriptor.setBigUint64(16, BigInt(size), true);
  await file.write(new Uint8Array(descriptor.buffer));
  return { ...member, checksum };
}

/** NumPy writes the zip64 field in every local header, so it is always there. */
function localHeader({ name, flags, method, checksum, storedSize, size }: Written): Uint8Array {
  const header = new DataView(new ArrayBuffer(30 + name.length + 20));
  header.setUint32(0, 0x04034b50, true);
  header.setUint16(4, ZIP64_VERSION, true);
  header.setUint16(6, flags, true);
  header.setUint16(8, method, true);
  header.setUint16(12, DOS_DATE, true);
  header.setUint32(14, checksum, true);
  header.setUint32(18, MAX_32, true);
  header.setUint32(22, MAX_32, true);
  header.setUint16(26, name.length, true);
  header.setUint16(28, 20, true);
  const bytes = new Uint8Array(header.buffer);
  bytes.set(name, 30);
  header.setUint16(30 + name.length, 1, true);
  header.setUint16(32 + name.length, 16, true);
  header.setBigUint64(34 + name.length, BigInt(size), true);
  header.setBigUint64(42 + name.length, BigInt(storedSize), true);
  return bytes;
}

function centralHeader({ name, flags, method, checksum, storedSize, size, offset }: Written): Uint8Array {
  const header = new DataView(new ArrayBuffer(46 + name.length + 28));
  header.setUint32(0, 0x02014b50, true);
  header.setUint16(4, ZIP64_VERSION, true);
  header.setUint16(6, ZIP64_VERSION, true);
  header.setUint16(8, flags, true);
  header.setUint16(10, method, true);
  header.setUint16(14, DOS_DATE, true);
  header.setUint32(16, checksum, true);
  header.setUint32(20, MAX_32, true);
  header.setUint32(24, MAX_32, true);
  header.setUint16(28, name.length, true);
  header.setUint16(30, 28, true);
  header.setUint32(42, MAX_32, true);
  const bytes = new Uint8Array(header.buffer);
  bytes.set(name, 46);
  const extra = 46 + name.length;
  header.setUint16(extra, 1, true);
  header.setUint16(extra + 2, 24, true);
  header.setBigUint64(extra + 4, BigInt(size), true);
  header.setBigUint64(extra + 12, BigInt(storedSize), true);
  header.setBigUint64(extra + 20, BigInt(offset), true);
  return bytes;
}

async function writeDirectory(file: AtomicFile, written: readonly Written[]): Promise<void> {
  const start = file.position;
  for (const member of written) await file.write(centralHeader(member));
  const size = file.position - start;
  const end64 = new DataView(new ArrayBuffer(56 + 20 + 22));
  end64.setUint32(0, 0x06064b50, true);
  end64.setBigUint64(4, 44n, true);
  end64.setUint16(12, ZIP64_VERSION, true);
  end64.setUint16(14, ZIP64_VERSION, true);
  end64.setBigUint64(24, BigInt(written.length), true);
  end64.setBigUint64(32, BigInt(written.length), true);
  end64.setBigUint64(40, BigInt(size), true);
  end64.setBigUint64(48, BigInt(start), true);
  // Locator of the record above, then the classic end record, whose full fields point to it.
  end64.setUint32(56, 0x07064b50, true);
  end64.setBigUint64(64, BigInt(start + size), true);
  end64.setUint32(72, 1, true);
  end64.setUint32(76, 0x06054b50, true);
  end64.setUint16(84, 0xffff, true);
  end64.setUint16(86, 0xffff, true);
  end64.setUint32(88, MAX_32, true);
  end64.setUint32(92, MAX_32, true);
  await file.write(new Uint8Array(end64.buffer));
}
