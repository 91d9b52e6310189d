/**
 * Element types of host tensors and graph values.
 *
 * Every dtype that a safetensors file can hold has a row here, so that files are read without loss. JavaScript has no
 * typed array for the 16-bit and 8-bit floats: they are kept as raw bits (`Uint16Array`, `Uint8Array`) and decoded on
 * demand (see float-formats.ts). Graph values use the subset that ONNX Runtime computes with.
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
