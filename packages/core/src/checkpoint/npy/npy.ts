/**
 * NumPy's .npy arrays as bytes; files and .npz members use the same functions. A header (the magic bytes, a version, a length, and
 * a Python dict literal), then the elements:
 *
 *   {'descr': '<f4', 'fortran_order': False, 'shape': (4, 8, 8), }
 *
 * The literal is read by a small parser that knows exactly this form; nothing is evaluated.
 * Source: the format description in NumPy's documentation (numpy.lib.format), versions 1.0, 2.0 and 3.0.
 */
import { DataError } from "../../errors.js";
import { byteSize, type DType } from "../../graph/dtype.js";
import { sizeOf, type Tensor } from "../../graph/tensor.js";
import { refuseGitLfsPointer } from "../json-text.js";
import { bytesOfTensor, tensorFromBytes } from "../weights.js";

/** What stands in front of the data of an `.npy` file. */
export interface NpyHeader {
  readonly dtype: DType;
  /** Whether the first axis varies fastest in the data. */
  readonly fortranOrder: boolean;
  readonly shape: readonly number[];
  /** Position of the first element. */
  readonly dataOffset: number;
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
/** Headers of plain arrays have about a hundred bytes; the first longer ones describe records, which aren't read. */
const MAX_HEADER_BYTES = 65_536;
/** As many as NumPy allows. */
const MAX_DIMENSIONS = 64;
const ALIGNMENT = 64;
/** NumPy leaves room for the first axis to grow to this many digits in place. */
const GROWTH_DIGITS = 21;

const descriptions: Readonly<Partial<Record<DType, string>>> = {
  float64: "<f8",
  float32: "<f4",
  float16: "<f2",
  int64: "<i8",
  int32: "<i4",
  int16: "<i2",
  int8: "|i1",
  uint64: "<u8",
  uint32: "<u4",
  uint16: "<u2",
  uint8: "|u1",
  bool: "|b1",
};
const dtypes = new Map(Object.entries(descriptions).map(([dtype, descr]) => [descr, dtype as DType]));

/**
 * Reads the header at the start of `bytes`.
 *
 * @param name for messages
 * @throws DataError when this isn't a .npy file, or one whose arrays aren't supported
 */
export function parseNpyHeader(bytes: Uint8Array, name: string): NpyHeader {
  if (bytes.length < 10 || !MAGIC.every((byte, i) => bytes[i] === byte)) {
    refuseGitLfsPointer(bytes, name, DataError);
    throw new DataError(`${name}: not a .npy file`, { hint: "Write it with numpy.save." });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const major = view.getUint8(6);
  const lengthBytes = major === 1 ? 2 : 4;
  if (major < 1 || major > 3 || view.getUint8(7) !== 0 || bytes.length < 8 + lengthBytes) {
    throw new DataError(`${name}: .npy version ${major}.${view.getUint8(7)} isn't supported (1.0, 2.0, 3.0 are)`);
  }
  const start = 8 + lengthBytes;
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > Math.min(MAX_HEADER_BYTES, bytes.length - start)) {
    throw new DataError(`${name}: the .npy header claims ${length} bytes, ${bytes.length - start} follow`, {
      hint: "The file is cut off or damaged; get it again.",
    });
  }
  const text = String.fromCharCode(...bytes.subarray(start, start + length));
  return { ...parseDict(text, name), dataOffset: start + length };
}

const pairPattern = /\s*'(descr|fortran_order|shape)'\s*:\s*(?:'([^'\\]*)'|(True|False)|\(([\d\s,]*)\))\s*(,|$)/y;

function parseDict(text: string, name: string): Omit<NpyHeader, "dataOffset"> {
  const fail = (problem: string, hint?: string): never => {
    throw new DataError(`${name}: ${problem}`, hint === undefined ? {} : { hint });
  };
  const body = /^\s*\{(.*)\}\s*$/s.exec(text)?.[1]?.trim();
  if (body === undefined) return fail("the .npy header isn't a dict");
  if (/'descr'\s*:\s*\[/.test(body)) return fail("structured (record) arrays aren't supported");
  let descr: string | undefined;
  let fortranOrder: boolean | undefined;
  let shape: readonly number[] | undefined;
  for (pairPattern.lastIndex = 0; pairPattern.lastIndex < body.length; ) {
    const [, key, string, truth, tuple] = pairPattern.exec(body) ?? fail("the .npy header is malformed");
    if (key === "descr" && string !== undefined && descr === undefined) descr = string;
    else if (key === "fortran_order" && truth !== undefined && fortranOrder === undefined) {
      fortranOrder = truth === "True";
    } else if (key === "shape" && tuple !== undefined && shape === undefined) shape = parseTuple(tuple, fail);
    else return fail("the .npy header is malformed");
  }
  if (descr === undefined || fortranOrder === undefined || shape === undefined) {
    return fail("the .npy header lacks 'descr', 'fortran_order' or 'shape'");
  }
  return { dtype: parseDescription(descr, fail), fortranOrder, shape };
}

function parseTuple(text: string, fail: (problem: string) => never): readonly number[] {
  if (text.trim() === "") return [];
  // A tuple of one needs its comma, as in Python; longer ones may have one at the end.
  if (!/^\s*\d+\s*,\s*(?:\d+\s*(?:,\s*\d+\s*)*,?\s*)?$/.test(text)) return fail("the .npy shape is malformed");
  const shape = text
    .split(",")
    .filter((item) => item.trim() !== "")
    .map(Number);
  if (shape.length > MAX_DIMENSIONS) {
    return fail(`the .npy shape has ${shape.length} dimensions, more than ${MAX_DIMENSIONS}`);
  }
  let elements = 1;
  for (const dim of shape) {
    elements *= dim;
    if (!Number.isSafeInteger(dim) || !Number.isSafeInteger(elements * 8)) return fail("the .npy shape is too large");
  }
  return shape;
}

function parseDescription(descr: string, fail: (problem: string, hint?: string) => never): DType {
  const oneByte = /^[<|=][iub]1$/.test(descr);
  const dtype = dtypes.get(oneByte ? `|${descr.slice(1)}` : descr);
  if (dtype !== undefined) return dtype;
  const shown = JSON.stringify(descr.slice(0, 20));
  if (descr.startsWith(">")) {
    return fail(
      `big-endian arrays (${shown}) aren't supported`,
      "Convert it with array.astype(array.dtype.newbyteorder('<')).",
    );
  }
  if (/^\|?O/.test(descr)) {
    return fail("object arrays hold Python pickles, which aren't read", "Save a numeric array instead.");
  }
  return fail(`.npy dtype ${shown} isn't supported`, `Supported: ${[...dtypes.keys()].join(", ")}.`);
}

/**
 * The header NumPy writes for a C-order array (version 1.0, or 2.0 for very many dimensions).
 *
 * @throws DataError for dtypes NumPy doesn't have
 */
export function encodeNpyHeader(dtype: DType, shape: readonly number[]): Uint8Array {
  const descr = descriptions[dtype];
  if (descr === undefined) {
    throw new DataError(`.npy files can't hold ${dtype}`, { hint: "Cast to float32 first, or write .safetensors." });
  }
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const growth = shape.length === 0 ? 0 : GROWTH_DIGITS - String(shape[0]).length;
  const dict = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${tuple}), }${" ".repeat(growth)}`;
  // Always at least one byte of padding beside the line break, a whole block where it would be none: as NumPy does.
  const padded = (start: number) => (Math.floor((start + dict.length + 1) / ALIGNMENT) + 1) * ALIGNMENT;
  const version = padded(10) - 10 <= 0xffff ? 1 : 2;
  const start = version === 1 ? 10 : 12;
  const header = new Uint8Array(padded(start)).fill(" ".charCodeAt(0));
  header.set([...MAGIC, version, 0]);
  const view = new DataView(header.buffer);
  if (version === 1) view.setUint16(8, header.length - start, true);
  else view.setUint32(8, header.length - start, true);
  header.set(new TextEncoder().encode(dict), start);
  header[header.length - 1] = "\n".charCodeAt(0);
  return header;
}

/**
 * Reads one array. Its data shares memory with `bytes` where the alignment allows it.
 *
 * Fortran-order arrays become transposed views, so that indices mean the same as in NumPy.
 *
 * @param name for messages
 * @throws DataError when the bytes aren't a .npy file, are cut off, or hold something that isn't a numeric array
 */
export function decodeNpy(bytes: Uint8Array, name = "npy bytes"): Tensor {
  const { dtype, fortranOrder, shape, dataOffset } = parseNpyHeader(bytes, name);
  const expected = sizeOf(shape) * byteSize(dtype);
  const got = bytes.length - dataOffset;
  if (got !== expected) {
    throw new DataError(
      `${name}: an array of ${dtype} with shape (${shape.join(", ")}) has ${expected} bytes, got ${got}`,
      {
        hint: got < expected ? "The file is cut off; get it again." : "One array per file is supported.",
      },
    );
  }
  const data = bytes.subarray(dataOffset);
  return fortranOrder
    ? tensorFromBytes(dtype, [...shape].reverse(), data).transpose()
    : tensorFromBytes(dtype, shape, data);
}

/**
 * The bytes of a .npy file, in C order, equal to what `numpy.save` writes.
 *
 * @throws DataError for bfloat16 and the 8-bit floats, which NumPy doesn't have
 */
export function encodeNpy(tensor: Tensor): Uint8Array<ArrayBuffer> {
  const header = encodeNpyHeader(tensor.dtype, tensor.shape);
  const data = bytesOfTensor(tensor);
  const out = new Uint8Array(header.length + data.length);
  out.set(header);
  out.set(data, header.length);
  return out;
}
