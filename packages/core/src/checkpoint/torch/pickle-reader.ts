/** The primitive values of a pickle, each with a check that its bytes are there. */
import { CheckpointError } from "../../errors.js";

/** Protocol 5 is the newest one. */
const MAX_PROTOCOL = 5;
/** Lines hold module names and numbers. */
const MAX_LINE = 1000;

/** Thrown where the bytes end inside of a pickle; more bytes may help. */
export class PickleEndError extends CheckpointError {
  override readonly name: string = "PickleEndError";
}

export interface PickleReader {
  readonly position: number;
  uint8(): number;
  uint16(): number;
  uint32(): number;
  int32(): number;
  /** A length in 64 bits. */
  length64(): number;
  float64(): number;
  /** Little-endian two's complement of `length` bytes; a bigint where a number isn't exact. */
  integer(length: number): number | bigint;
  /** Text up to a line feed, which is skipped. */
  line(): string;
  /** A number written as text on a line; `00` and `01` are how protocol 0 writes booleans. */
  decimalInteger(): number | bigint | boolean;
  bytes(length: number): Uint8Array;
  latin1(length: number): string;
  utf8(length: number): string;
  protocol(): void;
}

/** @param name for messages */
export function createPickleReader(bytes: Uint8Array, offset: number, name: string): PickleReader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const decoder = new TextDecoder("utf-8");
  let position = offset;

  function take(length: number): number {
    if (position + length > bytes.length) {
      throw new PickleEndError(`${name}: the pickle ends early: ${length} bytes are missing at ${position}`, {
        hint: "The file is cut off; get it again.",
      });
    }
    position += length;
    return position - length;
  }

  function slice(length: number): Uint8Array {
    const start = take(length);
    return bytes.subarray(start, start + length);
  }

  function line(): string {
    const end = bytes.indexOf(10, position);
    if (end < 0 && bytes.length - position <= MAX_LINE) take(bytes.length - position + 1);
    if (end < 0 || end - position > MAX_LINE) {
      throw new CheckpointError(`${name}: pickle at byte ${position}: a line is too long`);
    }
    const text = String.fromCharCode(...slice(end - position));
    take(1);
    return text;
  }

  function exact(value: bigint): number | bigint {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  return {
    get position() {
      return position;
    },
    uint8: () => view.getUint8(take(1)),
    uint16: () => view.getUint16(take(2), true),
    uint32: () => view.getUint32(take(4), true),
    int32: () => view.getInt32(take(4), true),
    length64() {
      const value = view.getBigUint64(take(8), true);
      return Number(value);
    },
    float64: () => view.getFloat64(take(8)),
    integer(length) {
      let value = 0n;
      slice(length).forEach((byte, i) => {
        value |= BigInt(byte) << BigInt(8 * i);
      });
      return exact(length === 0 ? 0n : BigInt.asIntN(8 * length, value));
    },
    line,
    decimalInteger() {
      const text = line();
      if (text === "00" || text === "01") return text === "01";
      const digits = text.endsWith("L") ? text.slice(0, -1) : text;
      if (!/^-?\d{1,100}$/.test(digits)) {
        throw new CheckpointError(`${name}: pickle at byte ${position}: a line isn't an integer`);
      }
      return exact(BigInt(digits));
    },
    bytes: slice,
    latin1(length) {
      const part = slice(length);
      // In pieces: a call can't have millions of arguments.
      let text = "";
      for (let i = 0; i < part.length; i += 4096) text += String.fromCharCode(...part.subarray(i, i + 4096));
      return text;
    },
    utf8: (length) => decoder.decode(slice(length)),
    protocol() {
      const version = view.getUint8(take(1));
      if (version > MAX_PROTOCOL) {
        throw new CheckpointError(`${name}: pickle protocol ${version} isn't known (up to ${MAX_PROTOCOL} are)`);
      }
    },
  };
}
