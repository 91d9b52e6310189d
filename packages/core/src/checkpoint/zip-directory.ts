/**
 * The members of a zip archive, from its central directory: names, sizes, positions. Nothing is extracted here.
 *
 * Archives come from strangers, so everything is checked against the length of the source before it is used, members may
 * not overlap (small archives that claim to expand to petabytes do), and names may not repeat. Zip64 is read, because
 * checkpoints and image archives exceed 4 GB. Ours, because browsers read checkpoints too, by any ByteSource: yauzl needs Node.
 * Source: PKWARE's APPNOTE, sections 4.3 to 4.5.
 */
import { DataError } from "../errors.js";
import type { ByteSource } from "./byte-source.js";
import { GIT_LFS_BYTES, quoted, refuseGitLfsPointer } from "./json-text.js";

/** A file of a zip archive, as its directory says. */
export interface ZipMember {
  readonly name: string;
  /** 0 is stored, 8 is deflated. */
  readonly method: number;
  /** CRC-32 of the content. */
  readonly crc32: number;
  /** Bytes in the archive. */
  readonly storedSize: number;
  /** Bytes of the content, as the directory claims. */
  readonly size: number;
  /** Position of the member's local header. */
  readonly headerOffset: number;
}

const END = 0x06054b50;
const END_64 = 0x06064b50;
const END_64_LOCATOR = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END_BYTES = 22;
const MAX_COMMENT = 0xffff;
/** The directories of published archives have less than 1 MB. */
const MAX_DIRECTORY_BYTES = 64 * 2 ** 20;
const STORED = 0;
const DEFLATED = 8;
/** Deflate's limit: 258 bytes from two bits. A block has a few bytes more. */
const MAX_INFLATION = 1032;
const ENCRYPTED = 1;
const UTF8_NAME = 1 << 11;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function damaged(source: ByteSource, problem: string): DataError {
  return new DataError(`${source.name}: not a readable zip archive: ${problem}`, {
    hint: "The file is cut off or damaged; get it again.",
  });
}

function uint64(view: DataView, offset: number, source: ByteSource): number {
  const value = view.getBigUint64(offset, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(source, "a 64-bit field is out of range");
  return Number(value);
}

interface DirectoryPlace {
  readonly offset: number;
  readonly size: number;
  readonly count: number;
}

/** Finds the end record, behind which only a comment may lie, and the directory that it points to. */
async function locateDirectory(source: ByteSource): Promise<DirectoryPlace> {
  const length = Math.min(source.size, END_BYTES + MAX_COMMENT);
  const tail = await source.read(source.size - length, length);
  const view = viewOf(tail);
  for (let at = length - END_BYTES; at >= 0; at--) {
    if (view.getUint32(at, true) !== END || at + END_BYTES + view.getUint16(at + 20, true) !== length) continue;
    if (view.getUint16(at + 4, true) !== view.getUint16(at + 6, true)) throw damaged(source, "it has several parts");
    const place = {
      count: view.getUint16(at + 10, true),
      size: view.getUint32(at + 12, true),
      offset: view.getUint32(at + 16, true),
    };
    const full = place.count === 0xffff || place.size === 0xffffffff || place.offset === 0xffffffff;
    return full ? locateDirectory64(source, source.size - length + at) : place;
  }
  refuseGitLfsPointer(await source.read(0, Math.min(source.size, GIT_LFS_BYTES)), source.name, DataError);
  throw damaged(source, "there is no end record");
}

async function locateDirectory64(source: ByteSource, endOffset: number): Promise<DirectoryPlace> {
  if (endOffset < 20) throw damaged(source, "the zip64 locator is missing");
  const locator = viewOf(await source.read(endOffset - 20, 20));
  if (locator.getUint32(0, true) !== END_64_LOCATOR) throw damaged(source, "the zip64 locator is missing");
  const offset = uint64(locator, 8, source);
  if (offset + 56 > endOffset) throw damaged(source, "the zip64 end record is missing");
  const end = viewOf(await source.read(offset, 56));
  if (end.getUint32(0, true) !== END_64) throw damaged(source, "the zip64 end record is missing");
  return { count: uint64(end, 32, source), size: uint64(end, 40, source), offset: uint64(end, 48, source) };
}

/** Sizes and position that don't fit into 32 bits stand in the extra field 1, in this order, each only if needed. */
function zip64Fields(extra: Uint8Array, values: number[], source: ByteSource): number[] {
  if (!values.includes(0xffffffff)) return values;
  const view = viewOf(extra);
  for (let at = 0; at + 4 <= extra.length; ) {
    const length = view.getUint16(at + 2, true);
    if (view.getUint16(at, true) === 1 && at + 4 + length <= extra.length) {
      let position = at + 4;
      return values.map((value) => {
        if (value !== 0xffffffff) return value;
        position += 8;
        if (position > at + 4 + length) throw damaged(source, "a zip64 field is missing");
        return uint64(view, position - 8, source);
      });
    }
    at += 4 + length;
  }
  throw damaged(source, "a zip64 field is missing");
}

function readMember(bytes: Uint8Array, at: number, source: ByteSource): { member: ZipMember; next: number } {
  const view = viewOf(bytes);
  if (at + 46 > bytes.length || view.getUint32(at, true) !== CENTRAL) throw damaged(source, "the directory ends early");
  const nameEnd = at + 46 + view.getUint16(at + 28, true);
  const extraEnd = nameEnd + view.getUint16(at + 30, true);
  const next = extraEnd + view.getUint16(at + 32, true);
  if (next > bytes.length) throw damaged(source, "the directory ends early");
  const flags = view.getUint16(at + 8, true);
  const nameBytes = bytes.subarray(at + 46, nameEnd);
  const name =
    (flags & UTF8_NAME) === 0 ? String.fromCharCode(...nameBytes) : new TextDecoder("utf-8").decode(nameBytes);
  if ((flags & ENCRYPTED) !== 0) throw new DataError(`${source.name}: ${quoted(name)} is encrypted`);
  const [size, storedSize, headerOffset] = zip64Fields(
    bytes.subarray(nameEnd, extraEnd),
    [view.getUint32(at + 24, true), view.getUint32(at + 20, true), view.getUint32(at + 42, true)],
    source,
  ) as [number, number, number];
  const method = view.getUint16(at + 10, true);
  return { member: { name, method, crc32: view.getUint32(at + 16, true), size, storedSize, headerOffset }, next };
}

/** Local headers have at least 30 bytes, so the ranges header + stored bytes must not overlap. */
function checkMembers(members: readonly ZipMember[], directoryOffset: number, source: ByteSource): void {
  const sorted = [...members].sort((a, b) => a.headerOffset - b.headerOffset);
  sorted.forEach(({ name, method, size, storedSize, headerOffset }, i) => {
    const limit = sorted[i + 1]?.headerOffset ?? directoryOffset;
    if (headerOffset + 30 + storedSize > limit) throw damaged(source, `${quoted(name)} overlaps with what follows it`);
    if (method === STORED && size !== storedSize) throw damaged(source, `${quoted(name)} has two different sizes`);
    if (method === DEFLATED && size > storedSize * MAX_INFLATION) {
      throw damaged(source, `${quoted(name)} claims ${size} bytes in ${storedSize} deflated ones`);
    }
  });
}

/**
 * Reads the directory of an archive: its members by name, in the order of the directory.
 *
 * @throws DataError when the source isn't a zip archive, or is damaged, encrypted or contradicts itself
 */
export async function readZipDirectory(source: ByteSource): Promise<ReadonlyMap<string, ZipMember>> {
  const { offset, size, count } = await locateDirectory(source);
  if (offset + size > source.size) throw damaged(source, "the directory lies outside of the file");
  if (size > MAX_DIRECTORY_BYTES) throw damaged(source, `a directory of ${size} bytes is too large`);
  const bytes = await source.read(offset, size);
  const members = new Map<string, ZipMember>();
  for (let at = 0, i = 0; i < count; i++) {
    const { member, next } = readMember(bytes, at, source);
    if (members.has(member.name)) throw damaged(source, `it has two members ${quoted(member.name)}`);
    members.set(member.name, member);
    at = next;
  }
  checkMembers([...members.values()], offset, source);
  return members;
}

/**
 * Position of a member's stored bytes, behind its local header.
 *
 * @throws DataError when there is no such header or the bytes don't lie inside of the source
 */
export async function zipDataOffset(source: ByteSource, member: ZipMember): Promise<number> {
  if (member.headerOffset + 30 > source.size) throw damaged(source, `${quoted(member.name)} lies outside of the file`);
  const header = viewOf(await source.read(member.headerOffset, 30));
  if (header.getUint32(0, true) !== LOCAL) throw damaged(source, `${quoted(member.name)} has no header`);
  const offset = member.headerOffset + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  if (offset + member.storedSize > source.size) {
    throw damaged(source, `${quoted(member.name)} lies outside of the file`);
  }
  return offset;
}
