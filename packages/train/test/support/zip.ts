/** Zip archives in memory, honest and lying ones. */
import { deflateRawSync } from "node:zlib";

export interface ZipEntry {
  readonly name: string;
  readonly content: Uint8Array;
  /** What the archive announces, if that isn't the truth. */
  readonly size?: number;
  /** Bytes cut off the end of the compressed content. */
  readonly cut?: number;
}

const header = (signature: number, ...fields: readonly (readonly [bytes: 2 | 4, value: number])[]) => {
  const bytes = Buffer.alloc(4 + fields.reduce((sum, [size]) => sum + size, 0));
  bytes.writeUInt32LE(signature, 0);
  let at = 4;
  for (const [size, value] of fields) at = size === 2 ? bytes.writeUInt16LE(value, at) : bytes.writeUInt32LE(value, at);
  return bytes;
};

/** Deflated members and a directory; checksums are left at 0. */
export function zipArchive(...entries: readonly ZipEntry[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const { name, content, size = content.length, cut = 0 } of entries) {
    const whole = deflateRawSync(content);
    const stored = whole.subarray(0, whole.length - cut);
    const encoded = new TextEncoder().encode(name);
    const about = [
      [2, 20],
      [2, 0],
      [2, 8],
      [4, 0],
      [4, 0],
      [4, stored.length],
      [4, size],
      [2, encoded.length],
      [2, 0],
    ] as const;
    const local = header(0x04034b50, ...about);
    directory.push(header(0x02014b50, [2, 20], ...about, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]), encoded);
    parts.push(local, encoded, stored);
    offset += local.length + encoded.length + stored.length;
  }
  const list = Buffer.concat(directory);
  const count = entries.length;
  const end = header(0x06054b50, [2, 0], [2, 0], [2, count], [2, count], [4, list.length], [4, offset], [2, 0]);
  return Buffer.concat([...parts, list, end]);
}
