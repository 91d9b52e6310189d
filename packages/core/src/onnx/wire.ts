/**
 * Protocol-buffer wire format, the writing half: just what ONNX models need.
 *
 * A message is built as a list of encoded fields; large byte strings are referenced, not copied, until `toBytes` joins
 * everything once. Wire types: 0 varint, 2 length-delimited, 5 four bytes.
 */

/** An encoded message or field: chunks and their total length. */
export interface Encoded {
  readonly chunks: readonly Uint8Array[];
  readonly byteLength: number;
}

const EMPTY: Encoded = { chunks: [], byteLength: 0 };
const encoder = new TextEncoder();

function fromBytes(bytes: Uint8Array): Encoded {
  return { chunks: [bytes], byteLength: bytes.byteLength };
}

/** One message of several encoded fields. */
export function message(...fields: readonly Encoded[]): Encoded {
  return {
    chunks: fields.flatMap((field) => field.chunks),
    byteLength: fields.reduce((sum, field) => sum + field.byteLength, 0),
  };
}

/** Base-128 varint; negative numbers take ten bytes (two's complement), as the format demands. */
export function varint(value: number | bigint): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return Uint8Array.from(bytes);
}

function key(field: number, wireType: 0 | 2 | 5): Uint8Array {
  return varint((field << 3) | wireType);
}

export function intField(field: number, value: number | bigint): Encoded {
  return message(fromBytes(key(field, 0)), fromBytes(varint(value)));
}

export function floatField(field: number, value: number): Encoded {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return message(fromBytes(key(field, 5)), fromBytes(bytes));
}

export function bytesField(field: number, bytes: Uint8Array): Encoded {
  return messageField(field, fromBytes(bytes));
}

export function stringField(field: number, text: string): Encoded {
  return bytesField(field, encoder.encode(text));
}

/** A field that holds another message. */
export function messageField(field: number, inner: Encoded): Encoded {
  return message(fromBytes(key(field, 2)), fromBytes(varint(inner.byteLength)), inner);
}

/** Repeated integers in packed form; nothing for an empty list. */
export function packedIntsField(field: number, values: readonly (number | bigint)[]): Encoded {
  return values.length === 0 ? EMPTY : messageField(field, message(...values.map((value) => fromBytes(varint(value)))));
}

/** The message as one array. */
export function toBytes(encoded: Encoded): Uint8Array {
  const out = new Uint8Array(encoded.byteLength);
  let position = 0;
  for (const chunk of encoded.chunks) {
    out.set(chunk, position);
    position += chunk.byteLength;
  }
  return out;
}
