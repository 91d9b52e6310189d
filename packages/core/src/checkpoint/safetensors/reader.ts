/**
 * Safetensors files as lazily read weights: opening reads the header only, each array is read when it is asked for. A file is 8
 * bytes little-endian header length N, then N bytes of JSON, then the data.
 *
 *   {"__metadata__": {"format": "pt"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
 *
 * Everything a header claims is checked here, before any array is allocated: lengths against the file, shapes against
 * offsets, and that the tensors cover the data exactly once, without holes or overlaps (as the format demands: a hole
 * could hide anything, an overlap lets a small file claim to be a huge one).
 * Source: the format description of huggingface/safetensors.
 */

import { CheckpointError } from "../../errors.js";
import { plural } from "../../format-amount.js";
import { byteSize, type DType } from "../../graph/dtype.js";
import type { ByteSource } from "../byte-source.js";
import {
  GIT_LFS_BYTES,
  isJsonObject,
  parseJsonDocument,
  quoted,
  refuseGitLfsPointer,
  startsGitLfsPointer,
} from "../json-text.js";
import { tensorFromBytes, type WeightEntry, type Weights } from "../weights.js";

const rows = [
  ["BOOL", "bool"],
  ["U8", "uint8"],
  ["I8", "int8"],
  ["F8_E5M2", "float8_e5m2"],
  ["F8_E4M3", "float8_e4m3fn"],
  ["I16", "int16"],
  ["U16", "uint16"],
  ["F16", "float16"],
  ["BF16", "bfloat16"],
  ["I32", "int32"],
  ["U32", "uint32"],
  ["F32", "float32"],
  ["F64", "float64"],
  ["I64", "int64"],
  ["U64", "uint64"],
] as const satisfies readonly (readonly [string, DType])[];

type SafetensorsDType = (typeof rows)[number][0];

const toDType: ReadonlyMap<string, DType> = new Map(rows);
const fromDType = new Map<DType, { readonly name: SafetensorsDType; readonly rank: number }>(
  rows.map(([name, dtype], rank) => [dtype, { name, rank }]),
);

/** All names, for messages. */
const SAFETENSORS_DTYPES: readonly SafetensorsDType[] = rows.map(([name]) => name);

/** The dtype behind a name in a file; undefined for names this project doesn't read. */
function dtypeFromSafetensors(name: string): DType | undefined {
  return toDType.get(name);
}

/** Name and sort rank (larger is written first) of a dtype. Every dtype has one. */
export function dtypeToSafetensors(dtype: DType): { readonly name: SafetensorsDType; readonly rank: number } {
  const row = fromDType.get(dtype);
  if (row === undefined) throw new RangeError(`no safetensors name for dtype ${dtype}`);
  return row;
}

/** The format's own limit for the JSON part. */
export const MAX_HEADER_BYTES = 100_000_000;
/** Bytes of the length field in front of the JSON. */
export const LENGTH_FIELD_BYTES = 8;

/** As many as NumPy allows. */
const MAX_DIMENSIONS = 64;

interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Position of the first byte in the file (not in the data part). */
  readonly offset: number;
  readonly byteLength: number;
}

interface SafetensorsHeader {
  /** The file's own notes, as in `{format: "pt"}`. */
  readonly metadata: ReadonlyMap<string, string>;
  /** In the order of the data. */
  readonly tensors: readonly TensorInfo[];
}

/**
 * Reads and checks the header.
 *
 * @throws CheckpointError that names the file, the tensor and what is wrong
 */
export async function readSafetensorsHeader(source: ByteSource): Promise<SafetensorsHeader> {
  if (source.size < LENGTH_FIELD_BYTES) {
    throw new CheckpointError(`${source.name}: not a safetensors file: it has only ${plural(source.size, "byte")}`, {
      hint: "The file is empty or cut off; get it again.",
    });
  }
  const field = await source.read(0, LENGTH_FIELD_BYTES);
  const length = new DataView(field.buffer, field.byteOffset, LENGTH_FIELD_BYTES).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    if (startsGitLfsPointer(field))
      refuseGitLfsPointer(await source.read(0, Math.min(source.size, GIT_LFS_BYTES)), source.name);
    throw new CheckpointError(
      `${source.name}: not a safetensors file: its header would have ${length} bytes, the limit is ${MAX_HEADER_BYTES}`,
      { hint: "Pickled checkpoints (.pt, .bin, .ckpt) and ONNX files aren't safetensors files." },
    );
  }
  const headerBytes = Number(length);
  if (headerBytes > source.size - LENGTH_FIELD_BYTES) {
    throw new CheckpointError(
      `${source.name}: the header claims ${headerBytes} bytes, but only ${source.size - LENGTH_FIELD_BYTES} follow`,
      { hint: "The file is cut off or isn't a safetensors file; get it again." },
    );
  }
  const json = await source.read(LENGTH_FIELD_BYTES, headerBytes);
  return parseSafetensorsHeader(json, source.name, source.size);
}

/**
 * Checks the JSON part of a header.
 *
 * @param json the header's bytes, without the length field
 * @param name for messages
 * @param fileBytes size of the whole file
 */
export function parseSafetensorsHeader(json: Uint8Array, name: string, fileBytes: number): SafetensorsHeader {
  if (json[0] !== "{".charCodeAt(0)) {
    throw new CheckpointError(`${name}: not a safetensors file: its header isn't a JSON object`);
  }
  const { value: header, checkUniqueKeys } = parseJsonDocument(json, `${name}: header`);
  if (!isJsonObject(header)) throw new CheckpointError(`${name}: header isn't a JSON object`);
  const dataStart = LENGTH_FIELD_BYTES + json.length;
  const tensors: TensorInfo[] = [];
  let metadata: ReadonlyMap<string, string> = new Map();
  for (const [key, value] of Object.entries(header)) {
    if (key === "__metadata__") metadata = parseMetadata(value, name);
    else tensors.push(parseTensor(key, value, name, dataStart, fileBytes));
  }
  checkUniqueKeys();
  tensors.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  checkCoverage(tensors, name, dataStart, fileBytes);
  return { metadata, tensors };
}

function parseMetadata(value: unknown, name: string): ReadonlyMap<string, string> {
  // The format's reference implementation takes null as none.
  if (value === null) return new Map();
  const entries = isJsonObject(value) ? Object.entries(value) : undefined;
  const texts = entries?.filter((entry): entry is [string, string] => typeof entry[1] === "string");
  if (entries === undefined || texts?.length !== entries.length) {
    throw new CheckpointError(`${name}: "__metadata__" must be an object with text values`);
  }
  return new Map(texts);
}

function parseTensor(key: string, value: unknown, name: string, dataStart: number, fileBytes: number): TensorInfo {
  const fail = (problem: string, hint?: string): never => {
    throw new CheckpointError(`${name}: tensor ${quoted(key)}: ${problem}`, hint === undefined ? {} : { hint });
  };
  if (!isJsonObject(value)) return fail("its description isn't a JSON object");
  const unknownKey = Object.keys(value).find((field) => !["dtype", "shape", "data_offsets"].includes(field));
  if (unknownKey !== undefined) return fail(`unknown field ${quoted(unknownKey)}`);

  const { dtype: dtypeName, shape, data_offsets: offsets } = value;
  if (typeof dtypeName !== "string") return fail('"dtype" must be a text');
  const dtype = dtypeFromSafetensors(dtypeName);
  if (dtype === undefined) {
    return fail(`dtype ${quoted(dtypeName)} isn't supported`, `Known dtypes: ${SAFETENSORS_DTYPES.join(", ")}.`);
  }
  if (!isSizes(shape)) return fail('"shape" must be a list of integers from 0 to 2^53 - 1');
  if (shape.length > MAX_DIMENSIONS) return fail(`${shape.length} dimensions are more than ${MAX_DIMENSIONS}`);
  if (!isSizes(offsets) || offsets.length !== 2) return fail('"data_offsets" must be two integers from 0 to 2^53 - 1');

  const [begin, end] = offsets as readonly [number, number];
  const dataBytes = fileBytes - dataStart;
  if (begin > end) return fail(`its data would begin at ${begin} and end before that, at ${end}`);
  if (end > dataBytes) {
    return fail(`its data would end at byte ${end} of ${dataBytes}`, "The file is cut off; get it again.");
  }
  const byteLength = checkedProduct([...shape, byteSize(dtype)]);
  if (byteLength === undefined) return fail(`shape [${shape.join(", ")}] is too large`);
  if (byteLength !== end - begin) {
    return fail(`shape [${shape.join(", ")}] of ${dtypeName} needs ${byteLength} bytes, but it has ${end - begin}`);
  }
  return { name: key, dtype, shape: Object.freeze([...shape]), offset: dataStart + begin, byteLength };
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0 && !Object.is(item, -0));
}

/** Product that stays exact, or undefined. Checked at every step, also where a later factor is zero. */
function checkedProduct(factors: readonly number[]): number | undefined {
  let product = 1;
  for (const factor of factors) {
    product *= factor;
    if (!Number.isSafeInteger(product)) return undefined;
  }
  return product;
}

function checkCoverage(sorted: readonly TensorInfo[], name: string, dataStart: number, fileBytes: number): void {
  let position = dataStart;
  let previous: TensorInfo | undefined;
  for (const tensor of sorted) {
    if (tensor.offset !== position) {
      const after = previous === undefined ? "the start of the data" : quoted(previous.name);
      throw new CheckpointError(
        tensor.offset < position
          ? `${name}: tensor ${quoted(tensor.name)} overlaps ${after}`
          : `${name}: ${tensor.offset - position} unused bytes between ${after} and tensor ${quoted(tensor.name)}`,
      );
    }
    position += tensor.byteLength;
    previous = tensor;
  }
  if (position !== fileBytes) {
    throw new CheckpointError(`${name}: ${fileBytes - position} bytes after the last tensor belong to none`);
  }
}

/** Weights of one safetensors file. */
export interface SafetensorsFile extends Weights {
  /** The file's `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Opens a safetensors file; `close()` of the result closes `source`. `source` is closed too when this fails.
 *
 * @throws CheckpointError when the header is damaged or lies about the file
 */
export async function openSafetensors(source: ByteSource): Promise<SafetensorsFile> {
  try {
    const { metadata, tensors } = await readSafetensorsHeader(source);
    const entries = new Map(tensors.map((info) => [info.name, weightEntry(source, info)]));
    return { source: source.name, metadata, entries, close: () => source.close() };
  } catch (error) {
    await source.close();
    throw error;
  }
}

function weightEntry(source: ByteSource, info: TensorInfo): WeightEntry {
  const { name, dtype, shape, offset, byteLength } = info;
  return {
    name,
    dtype,
    shape,
    location: source.path === undefined ? undefined : { path: source.path, offset, byteLength },
    read: async () => tensorFromBytes(dtype, shape, await source.read(offset, byteLength)),
  };
}
