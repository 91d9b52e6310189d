/**
 * The members of a tar archive: names and places, which nothing here extracts; and members of archives that are written.
 *
 * Read: ustar (with its prefix field), GNU long names, and the path and size of pax headers. Archives come from strangers, so
 * every header's checksum and every range is checked against the length of the file before it is used. Sparse members and
 * continued volumes are refused. Ours, because samples are read at random: tar-stream gives contents in order and no positions.
 * Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header".
 */
import { DataError } from "../errors.js";
import type { ByteSource } from "./byte-source.js";

/** A file of a tar archive, as its header says. */
export interface TarMember {
  readonly name: string;
  /** Position of the content. */
  readonly offset: number;
  readonly size: number;
}

const BLOCK = 512;
/** Extended headers hold a path and a few numbers. */
const MAX_EXTENDED_BYTES = 2 ** 20;

/** Headers of one kind apply to the next member. */
interface Extended {
  name?: string | undefined;
  size?: number | undefined;
}

function damaged(source: ByteSource, at: number, problem: string): DataError {
  return new DataError(`${source.name}: not a readable tar archive: ${problem} (byte ${at})`, {
    hint: "The file is cut off or damaged; get it again.",
  });
}

/** Text up to the first zero byte. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end === -1 ? bytes : bytes.subarray(0, end));
}

/** An octal number, or a binary one (first bit set) as GNU tar writes sizes above 8 GiB; NaN when it is neither. */
function tarNumber(bytes: Uint8Array): number {
  if (((bytes[0] ?? 0) & 0x80) !== 0) {
    return bytes.slice(1).reduce((value, byte) => value * 256 + byte, (bytes[0] as number) & 0x7f);
  }
  const digits = text(bytes).trim();
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits || "0", 8) : Number.NaN;
}

/** The sum of all header bytes, the checksum field itself counted as spaces. */
function headerSum(header: Uint8Array): number {
  return header.reduce((sum, byte, i) => sum + (i >= 148 && i < 156 ? 32 : byte), 0);
}

/** Records `<length> <key>=<value>\n`. */
function paxRecords(bytes: Uint8Array, source: ByteSource, at: number): Map<string, string> {
  const records = new Map<string, string>();
  for (let start = 0; start < bytes.length; ) {
    const space = bytes.indexOf(32, start);
    const length = space === -1 ? Number.NaN : Number(text(bytes.subarray(start, space)));
    const record = text(bytes.subarray(space + 1, start + length - 1));
    const equals = record.indexOf("=");
    if (!(Number.isInteger(length) && length > space - start && start + length <= bytes.length) || equals < 1) {
      throw damaged(source, at, "an extended header has a damaged record");
    }
    records.set(record.slice(0, equals), record.slice(equals + 1));
    start += length;
  }
  return records;
}

/**
 * Reads all headers, in order. Directories and links are left out.
 *
 * @throws DataError when the archive is damaged or uses what isn't read
 */
export async function readTarDirectory(source: ByteSource): Promise<TarMember[]> {
  const members: TarMember[] = [];
  let extended: Extended = {};
  for (let at = 0; at < source.size; ) {
    if (at + BLOCK > source.size) throw damaged(source, at, "a header is cut off");
    const header = await source.read(at, BLOCK);
    if (header.every((byte) => byte === 0)) break; // the end mark
    if (tarNumber(header.subarray(148, 156)) !== headerSum(header))
      throw damaged(source, at, "a header's checksum fails");
    const type = String.fromCharCode(header[156] as number);
    const size = extended.size ?? tarNumber(header.subarray(124, 136));
    const offset = at + BLOCK;
    if (!Number.isSafeInteger(size) || size < 0 || offset + size > source.size) {
      throw damaged(source, at, `a member of ${size} bytes doesn't fit into the file`);
    }
    at = offset + Math.ceil(size / BLOCK) * BLOCK;
    if (type === "L" || type === "x") {
      if (size > MAX_EXTENDED_BYTES) throw damaged(source, offset, `an extended header has ${size} bytes`);
      const content = await source.read(offset, size);
      if (type === "L") extended = { ...extended, name: text(content) };
      else {
        const records = paxRecords(content, source, offset);
        if ([...records.keys()].some((key) => key.startsWith("GNU.sparse")))
          throw unsupported(source, "sparse members");
        const length = records.get("size");
        extended = { name: records.get("path"), size: length === undefined ? undefined : Number(length) };
      }
      continue;
    }
    if (type === "S") throw unsupported(source, "sparse members");
    if (type === "M") throw unsupported(source, "members that go on in another volume");
    // "0", NUL and "7" are regular files; "g" holds defaults such as comments; links, devices and folders have no content.
    if (type === "0" || type === "\0" || type === "7") {
      const name = extended.name ?? ustarName(header);
      // Old archives mark folders by the slash alone.
      if (!name.endsWith("/")) members.push({ name, offset, size });
    }
    if (type !== "g" && type !== "K") extended = {};
  }
  return members;
}

function unsupported(source: ByteSource, what: string): DataError {
  return new DataError(`${source.name}: ${what} aren't supported`, { hint: "Write the archive in the ustar format." });
}

function ustarName(header: Uint8Array): string {
  const name = text(header.subarray(0, 100));
  const isUstar = text(header.subarray(257, 263)).startsWith("ustar");
  // GNU's variant ("ustar  ") uses the prefix field for other things.
  const prefix = isUstar && header[263] === 48 ? text(header.subarray(345, 500)) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

/** Blocks that end an archive. */
export const TAR_END: Uint8Array = new Uint8Array(2 * BLOCK);

const MAX_TAR_NAME = 100;

/**
 * A regular file as it stands in an archive (ustar): header, content, and zeros up to the next block. It has no time and no owner, so
 * that the same files make the same archive.
 *
 * @throws DataError for a name that needs an extended header
 */
export function encodeTarMember(name: string, content: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length > MAX_TAR_NAME) {
    throw new DataError(`tar: the name ${JSON.stringify(name)} has more than ${MAX_TAR_NAME} bytes`);
  }
  const out = new Uint8Array(BLOCK * (1 + Math.ceil(content.length / BLOCK)));
  const put = (text: string, at: number) => out.set(new TextEncoder().encode(text), at);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  out.set(bytes);
  put(octal(0o644, 7), 100);
  for (const at of [108, 116]) put(octal(0, 7), at);
  put(octal(content.length, 11), 124);
  put(octal(0, 11), 136);
  put("0", 156);
  put("ustar\u000000", 257);
  put(`${headerSum(out.subarray(0, BLOCK)).toString(8).padStart(6, "0")}\0 `, 148);
  out.set(content, BLOCK);
  return out;
}
