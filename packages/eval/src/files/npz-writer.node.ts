/**
 * Writes .npz archives that `numpy.load` reads, atomically. Members are stored or deflated; zip64 where sizes need it.
 */
import { crc32, deflateRawSync } from "node:zlib";
import type { Tensor } from "@dcae/core";
import { type AtomicFile, encodeNpy, writeFileAtomic } from "@dcae/core/checkpoint";

export interface NpzWriteOptions {
  /** Deflate the arrays (default false, as `numpy.savez`). */
  readonly compress?: boolean;
}

interface Written {
  readonly name: Uint8Array;
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
const MAX_32 = 0xffffffff;

/**
 * Writes `arrays` as members "<name>.npy".
 *
 * @throws DataError when the file can't be written
 */
export async function writeNpz(
  path: string,
  arrays: Readonly<Record<string, Tensor>>,
  { compress = false }: NpzWriteOptions = {},
): Promise<void> {
  await writeFileAtomic(path, async (file) => {
    const written: Written[] = [];
    for (const [name, tensor] of Object.entries(arrays)) {
      const content = encodeNpy(tensor);
      const stored = compress ? deflateRawSync(content) : content;
      const member: Written = {
        name: new TextEncoder().encode(`${name}.npy`),
        method: compress ? 8 : 0,
        checksum: crc32(content),
        storedSize: stored.length,
        size: content.length,
        offset: file.position,
      };
      await file.write(localHeader(member));
      await file.write(stored);
      written.push(member);
    }
    await writeDirectory(file, written);
  });
}

/** NumPy writes the zip64 field in every local header, so it is always there. */
function localHeader({ name, method, checksum, storedSize, size }: Written): Uint8Array {
  const header = new DataView(new ArrayBuffer(30 + name.length + 20));
  header.setUint32(0, 0x04034b50, true);
  header.setUint16(4, ZIP64_VERSION, true);
  header.setUint16(6, UTF8_NAME, true);
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

function centralHeader({ name, method, checksum, storedSize, size, offset }: Written): Uint8Array {
  const header = new DataView(new ArrayBuffer(46 + name.length + 28));
  header.setUint32(0, 0x02014b50, true);
  header.setUint16(4, ZIP64_VERSION, true);
  header.setUint16(6, ZIP64_VERSION, true);
  header.setUint16(8, UTF8_NAME, true);
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
