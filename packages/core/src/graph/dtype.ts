/**
 * Element types of host tensors and graph values.
 *
 * Every dtype that a safetensors file can hold has a row here, so that files are read without loss. JavaScript has no
 * typed array for the 16-bit and 8-bit floats: they are kept as raw bits (`Uint16Array`, `Uint8Array`) and decoded on
 * demand. Graph values use the subset that ONNX Runtime computes with.
 */

const rows = {
  float64: { bytes: 8, array: Float64Array, kind: "float" },
  float32: { bytes: 4, array: Float32Array, kind: "float" },
  float16: { bytes: 2, array: Uint16Array, kind: "float" },
  bfloat16: { bytes: 2, array: Uint16Array, kind: "float" },
  float8_e4m3fn: { bytes: 1, array: Uint8Array, kind: "float" },
  float8_e5m2: { bytes: 1, array: Uint8Array, kind: "float" },
  int64: { bytes: 8, array: BigInt64Array, kind: "int" },
  uint64: { bytes: 8, array: BigUint64Array, kind: "int" },
  int32: { bytes: 4, array: Int32Array, kind: "int" },
  uint32: { bytes: 4, array: Uint32Array, kind: "int" },
  int16: { bytes: 2, array: Int16Array, kind: "int" },
  uint16: { bytes: 2, array: Uint16Array, kind: "int" },
  int8: { bytes: 1, array: Int8Array, kind: "int" },
  uint8: { bytes: 1, array: Uint8Array, kind: "int" },
  bool: { bytes: 1, array: Uint8Array, kind: "bool" },
} as const;

/** Element types that tensors have. */
export type DType = keyof typeof rows;

interface StorageTypes {
  float64: Float64Array;
  float32: Float32Array;
  float16: Uint16Array;
  bfloat16: Uint16Array;
  float8_e4m3fn: Uint8Array;
  float8_e5m2: Uint8Array;
  int64: BigInt64Array;
  uint64: BigUint64Array;
  int32: Int32Array;
  uint32: Uint32Array;
  int16: Int16Array;
  uint16: Uint16Array;
  int8: Int8Array;
  uint8: Uint8Array;
  bool: Uint8Array;
}

/** Typed array that stores the elements of dtype `D` (raw bits for float16, bfloat16 and the 8-bit floats). */
export type StorageOf<D extends DType> = StorageTypes[D];

/** Any storage array. */
export type Storage = StorageOf<DType>;

/** All element types. */
export const DTYPES = Object.keys(rows) as readonly DType[];

/** Size of one element in bytes. */
export function byteSize(dtype: DType): number {
  return rows[dtype].bytes;
}

/** Whether `name` is a dtype of this project. */
export function isDType(name: string): name is DType {
  return Object.hasOwn(rows, name);
}

/** "float", "int" or "bool". */
export function dtypeKind(dtype: DType): "float" | "int" | "bool" {
  return rows[dtype].kind;
}

/** Whether elements are read as `bigint`. */
export function isBigIntDType(dtype: DType): dtype is "int64" | "uint64" {
  return dtype === "int64" || dtype === "uint64";
}

/** A zero-filled storage array of `length` elements. */
export function allocate<D extends DType>(dtype: D, length: number): StorageOf<D> {
  const ArrayType = rows[dtype].array as unknown as new (length: number) => StorageOf<D>;
  return new ArrayType(length);
}

/**
 * A storage array over existing bytes, without a copy.
 *
 * @throws RangeError when `byteOffset` isn't a multiple of the element size (copy the bytes first in that case).
 */
export function storageView<D extends DType>(
  dtype: D,
  buffer: ArrayBufferLike,
  byteOffset: number,
  length: number,
): StorageOf<D> {
  const ArrayType = rows[dtype].array as unknown as new (
    buffer: ArrayBufferLike,
    byteOffset: number,
    length: number,
  ) => StorageOf<D>;
  return new ArrayType(buffer, byteOffset, length);
}

/** Whether `data` is the storage array type of `dtype`. */
export function isStorageOf<D extends DType>(dtype: D, data: unknown): data is StorageOf<D> {
  return data instanceof rows[dtype].array;
}

// Conversions between float32 and the narrow float formats that JavaScript (Node 20) has no typed array for:
// IEEE binary16, bfloat16, and the 8-bit formats of the Open Compute Project (E4M3FN, E5M2).
//
// Decoding is exact and goes through a table (at most 65,536 entries, built at first use). Encoding rounds to nearest,
// ties to even, as hardware and PyTorch do; overflow becomes infinity. E4M3FN has none: overflow becomes NaN there, as in
// ml_dtypes; PyTorch 2.13 and ONNX's Cast (by default) saturate to 448 instead.

interface FloatFormat {
  readonly bits: 8 | 16;
  readonly exponentBits: number;
  readonly mantissaBits: number;
  /** Exponent bias. */
  readonly bias: number;
  /** E4M3FN uses the top exponent for finite numbers; only all-ones is NaN. */
  readonly finiteOnly: boolean;
}

/** Floats of 16 or 8 bits that files hold and no JavaScript array has. */
export type NarrowFloat = "float16" | "bfloat16" | "float8_e4m3fn" | "float8_e5m2";

const formats: Readonly<Record<NarrowFloat, FloatFormat>> = {
  float16: { bits: 16, exponentBits: 5, mantissaBits: 10, bias: 15, finiteOnly: false },
  bfloat16: { bits: 16, exponentBits: 8, mantissaBits: 7, bias: 127, finiteOnly: false },
  float8_e4m3fn: { bits: 8, exponentBits: 4, mantissaBits: 3, bias: 7, finiteOnly: true },
  float8_e5m2: { bits: 8, exponentBits: 5, mantissaBits: 2, bias: 15, finiteOnly: false },
};

/** Whether a name is one of the floats of 16 or 8 bits, which arrays hold as integers. */
export function isNarrowFloat(dtype: string): dtype is NarrowFloat {
  return Object.hasOwn(formats, dtype);
}

function decodeOne(code: number, format: FloatFormat): number {
  const { exponentBits, mantissaBits, bias, finiteOnly, bits } = format;
  const sign = code >>> (bits - 1) ? -1 : 1;
  const exponentMask = (1 << exponentBits) - 1;
  const exponent = (code >>> mantissaBits) & exponentMask;
  const mantissa = code & ((1 << mantissaBits) - 1);
  const allOnes = mantissa === (1 << mantissaBits) - 1;
  if (exponent === exponentMask && finiteOnly && allOnes) return Number.NaN;
  if (exponent === exponentMask && !finiteOnly) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias);
}

const tables = new Map<NarrowFloat, Float32Array>();

/** Table from bit pattern to value. */
function decodeTable(name: NarrowFloat): Float32Array {
  let table = tables.get(name);
  if (table === undefined) {
    const format = formats[name];
    table = Float32Array.from({ length: 1 << format.bits }, (_, code) => decodeOne(code, format));
    tables.set(name, table);
  }
  return table;
}

/** Bit patterns to float32 (exact). `out` must be as long as `codes`. */
export function decodeFloats(
  name: NarrowFloat,
  codes: Uint16Array | Uint8Array,
  out = new Float32Array(codes.length),
): Float32Array {
  const table = decodeTable(name);
  // The index is always inside the table; `as number` only satisfies noUncheckedIndexedAccess.
  for (let i = 0; i < codes.length; i++) out[i] = table[codes[i] as number] as number;
  return out;
}

const scratch = new Float64Array(1);
const scratchBits = new BigUint64Array(scratch.buffer);

/** Nearest representable number (ties to even) as a bit pattern. Takes any double, so float64 input rounds once. */
function encodeOne(value: number, format: FloatFormat): number {
  const { exponentBits, mantissaBits, bias, finiteOnly, bits } = format;
  scratch[0] = value;
  const sign = Number((scratchBits[0] as bigint) >> 63n) << (bits - 1);
  const topExponent = ((1 << exponentBits) - 1) << mantissaBits;
  const nan = finiteOnly ? (1 << (bits - 1)) - 1 : topExponent | (1 << (mantissaBits - 1));
  if (Number.isNaN(value)) return sign | nan;
  const magnitude = Math.abs(value);
  const overflow = finiteOnly ? nan : topExponent;
  if (magnitude === Number.POSITIVE_INFINITY) return sign | overflow;
  if (magnitude === 0) return sign;
  const doubleExponent = Number(((scratchBits[0] as bigint) >> 52n) & 0x7ffn) - 1023;
  const exponent = Math.max(doubleExponent, 1 - bias);
  // In units of the last place; powers of two are exact, so rounding happens once, here.
  const units = magnitude * 2 ** (mantissaBits - exponent);
  const floor = Math.floor(units);
  const rest = units - floor;
  const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
  // A carry out of the mantissa moves into the exponent field by plain addition; subnormals have field 0.
  const code = ((exponent + bias - 1) << mantissaBits) + rounded;
  const largest = finiteOnly ? nan - 1 : topExponent - 1;
  return sign | (code > largest ? overflow : code);
}

/** Numbers to bit patterns (nearest, ties to even). */
export function encodeFloats(name: NarrowFloat, values: ArrayLike<number>): Uint16Array | Uint8Array {
  const format = formats[name];
  const out = format.bits === 16 ? new Uint16Array(values.length) : new Uint8Array(values.length);
  if (name === "bfloat16" && values instanceof Float32Array) {
    encodeBFloat16(values, out as Uint16Array);
    return out;
  }
  if (name === "float16" && values instanceof Float32Array) {
    encodeFloat16(values, out as Uint16Array);
    return out;
  }
  for (let i = 0; i < values.length; i++) out[i] = encodeOne(values[i] as number, format);
  return out;
}

/** bfloat16 is the upper half of float32: integer rounding is an order of magnitude faster than the general path. */
function encodeBFloat16(values: Float32Array, out: Uint16Array): void {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    const isNaN32 = (word & 0x7fffffff) > 0x7f800000;
    out[i] = isNaN32 ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
}

/** float32 to float16 by integer operations: as `encodeOne`, over twenty times faster. Whole checkpoints go through here. */
function encodeFloat16(values: Float32Array, out: Uint16Array): void {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    const sign = (word >>> 16) & 0x8000;
    const magnitude = word & 0x7fffffff;
    if (magnitude > 0x7f800000) out[i] = sign | 0x7e00;
    else if (magnitude >= 0x47800000) out[i] = sign | 0x7c00;
    else if (magnitude >= 0x38800000) {
      // A normal number: another bias, 13 bits less. A carry may give the next exponent, or infinity.
      const rebiased = magnitude - 0x38000000;
      out[i] = sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
    } else if (magnitude <= 0x33000000) out[i] = sign;
    else {
      // A subnormal: the mantissa in units of 2^-24.
      const shift = 126 - (magnitude >>> 23);
      const mantissa = (magnitude & 0x7fffff) | 0x800000;
      const floor = mantissa >>> shift;
      const rest = mantissa & ((1 << shift) - 1);
      const half = 1 << (shift - 1);
      out[i] = sign | (rest > half || (rest === half && (floor & 1) === 1) ? floor + 1 : floor);
    }
  }
}
