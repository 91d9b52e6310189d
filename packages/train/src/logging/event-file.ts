/**
 * TensorBoard's event files: records of a protocol buffer `Event`, framed as TFRecord. Only the fields that curves and pictures
 * need: Event {1 wall_time, 2 step, 3 file_version, 5 summary, 7 session_log}, Summary {1 value}, Value {1 tag, 2 simple_value,
 * 4 image}, Image {1 height, 2 width, 3 colorspace, 4 encoded}, SessionLog {1 status}.
 *
 * Each start of a run writes a file of its own. Its second record says that a session starts at this step: TensorBoard then
 * forgets later steps of older files, which are those that a killed run had made behind its last checkpoint.
 */
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { fileError } from "@dcae/core/checkpoint";

/** A PNG file for the images tab. */
export interface EventPicture {
  readonly png: Uint8Array;
  readonly width: number;
  readonly height: number;
}

export interface EventFile {
  readonly path: string;
  scalars(step: number, values: Readonly<Record<string, number>>): Promise<void>;
  picture(step: number, tag: string, picture: EventPicture): Promise<void>;
  close(): Promise<void>;
}

type Bytes = Uint8Array<ArrayBufferLike>;

function varint(value: number): Bytes {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return Uint8Array.from([...bytes, rest]);
}

const key = (field: number, wireType: 0 | 1 | 2 | 5): Bytes => varint((field << 3) | wireType);
const integer = (field: number, value: number): Bytes => Buffer.concat([key(field, 0), varint(value)]);
const message = (field: number, ...parts: readonly Bytes[]): Bytes => {
  const body = Buffer.concat(parts);
  return Buffer.concat([key(field, 2), varint(body.length), body]);
};
const text = (field: number, value: string): Bytes => message(field, new TextEncoder().encode(value));

function double(field: number, value: number): Bytes {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([key(field, 1), bytes]);
}

function float(field: number, value: number): Bytes {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([key(field, 5), bytes]);
}

const SESSION_START = 1;
const RGB = 3;

/** One event: seconds since 1970, the step, and its content. */
function event(time: number, step: number, content: Bytes): Bytes {
  return Buffer.concat([double(1, time), integer(2, step), content]);
}

/** Length, its checksum, data, its checksum (all little-endian). */
function frameRecord(data: Uint8Array): Uint8Array {
  const record = Buffer.alloc(12 + data.length + 4);
  record.writeBigUInt64LE(BigInt(data.length));
  record.writeUInt32LE(maskedCrc32c(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedCrc32c(data), 12 + data.length);
  return record;
}

/** The events of a file, encoded, without their frames: pure, for any clock. */
const encodeEvent = {
  version: (time: number): Uint8Array => event(time, 0, text(3, "brain.Event:2")),
  start: (time: number, step: number): Uint8Array => event(time, step, message(7, integer(1, SESSION_START))),
  scalars(time: number, step: number, values: Readonly<Record<string, number>>): Uint8Array {
    const list = Object.entries(values).map(([tag, value]) => message(1, text(1, tag), float(2, value)));
    return event(time, step, message(5, ...list));
  },
  picture(time: number, step: number, tag: string, { png, width, height }: EventPicture): Uint8Array {
    const image = message(4, integer(1, height), integer(2, width), integer(3, RGB), message(4, png));
    return event(time, step, message(5, message(1, text(1, tag), image)));
  },
};

/**
 * Starts an event file in `folder` (made if it doesn't exist) for a session that starts after `step`.
 *
 * @param now seconds since 1970
 * @throws DataError when it can't be written
 */
export async function createEventFile(
  folder: string,
  step: number,
  now: () => number = () => Date.now() / 1000,
): Promise<EventFile> {
  let handle: FileHandle;
  // TensorBoard reads the files of a folder in the order of their names.
  const path = join(folder, `events.out.tfevents.${now().toFixed(3).padStart(14, "0")}.dcae`);
  const write = async (data: Uint8Array) => {
    try {
      await handle.appendFile(frameRecord(data));
    } catch (error) {
      throw fileError(error, path, "write");
    }
  };
  try {
    await mkdir(folder, { recursive: true });
    handle = await open(path, "a");
  } catch (error) {
    throw fileError(error, path, "write");
  }
  await write(encodeEvent.version(now()));
  await write(encodeEvent.start(now(), step + 1));
  return {
    path,
    scalars: (at, values) => write(encodeEvent.scalars(now(), at, values)),
    picture: (at, tag, picture) => write(encodeEvent.picture(now(), at, tag, picture)),
    close: () => handle.close(),
  };
}

/** The polynomial of CRC-32C, bits reversed. */
const POLYNOMIAL = 0x82f63b78;
const MASK_DELTA = 0xa282ead8;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ ((value & 1) === 0 ? 0 : POLYNOMIAL);
  return value;
});

/** CRC-32C (Castagnoli, RFC 3720 appendix B.4). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (TABLE[(crc ^ byte) & 0xff] as number);
  return (crc ^ 0xffffffff) >>> 0;
}

/** As TFRecord files store it: rotated and moved, so that the checksum of data that holds checksums isn't degenerate. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
}
