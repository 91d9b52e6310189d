/**
 * Named arrays of a checkpoint that are read one by one, so that a file of many gigabytes is never held in the heap; those of a
 * fresh model, drawn when they are read; and a search for values that no weight may have.
 */

import { CheckpointError } from "../errors.js";
import { byteSize, type DType, decodeFloats, dtypeKind, isNarrowFloat, storageView } from "../graph/dtype.js";
import { sizeOf, Tensor } from "../graph/tensor.js";
import type { ParameterSpec } from "../graph/value.js";
import { initializeParameter } from "../models/initialize.js";

/** Byte range of a local file that holds the raw little-endian elements of an array, row-major. */
export interface FileLocation {
  /** Absolute path. */
  readonly path: string;
  readonly offset: number;
  readonly byteLength: number;
}

/** One named array that has not been read yet. */
export interface WeightEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Where the bytes lie, when exactly these bytes lie in one local file (so that an engine can map them). */
  readonly location?: FileLocation | undefined;
  /** Reads the array. */
  read(): Promise<Tensor>;
}

/** A set of named arrays. */
export interface Weights {
  /** For messages: the file or folder. */
  readonly source: string;
  readonly entries: ReadonlyMap<string, WeightEntry>;
  /** Releases file handles. Arrays that were read stay valid. */
  close(): Promise<void>;
}

/**
 * The initial weights of a model (`modelParameters`), under the model's own parameter names.
 *
 * @param seed integer in [0, 2^64); the same seed gives the same values, in whatever order they are read
 */
export function initialWeights(specs: readonly ParameterSpec[], seed: number | bigint): Weights {
  const entries = specs.map((spec): [string, WeightEntry] => {
    const { name, dtype, shape } = spec;
    return [name, { name, dtype, shape, read: async () => initializeParameter(spec, seed) }];
  });
  return { source: `fresh model of seed ${seed}`, entries: new Map(entries), close: async () => {} };
}

/** The elements of an array that are NaN or infinite. */
export interface NonFinite {
  /** How many elements are NaN, +inf or -inf. */
  readonly count: number;
  /** Row-major position of the first one. */
  readonly firstIndex: number;
  /** Its value. */
  readonly firstValue: number;
}

/** Non-finite elements of `tensor`, or undefined when all are finite (as integers and booleans always are). */
export function findNonFinite(tensor: Tensor): NonFinite | undefined {
  if (dtypeKind(tensor.dtype) !== "float") return undefined;
  const values = isNarrowFloat(tensor.dtype)
    ? decodeFloats(tensor.dtype, tensor.data as Uint16Array)
    : (tensor.data as Float32Array | Float64Array);
  let count = 0;
  let firstIndex = -1;
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) continue;
    if (count === 0) firstIndex = i;
    count++;
  }
  return count === 0 ? undefined : { count, firstIndex, firstValue: values[firstIndex] as number };
}

const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

function checkByteOrder(elementBytes: number): void {
  if (!littleEndian && elementBytes > 1) {
    throw new CheckpointError("this machine is big-endian, but the files' arrays are little-endian: not supported");
  }
}

/**
 * A tensor over little-endian row-major bytes. They are copied only where they aren't aligned for the dtype's typed
 * array; otherwise the tensor shares their memory.
 *
 * @throws CheckpointError when the number of bytes doesn't fit the shape
 */
export function tensorFromBytes<D extends DType>(dtype: D, shape: readonly number[], bytes: Uint8Array): Tensor<D> {
  const elementBytes = byteSize(dtype);
  checkByteOrder(elementBytes);
  const length = sizeOf(shape);
  if (bytes.length !== length * elementBytes) {
    throw new CheckpointError(
      `an array of ${dtype} with shape [${shape.join(", ")}] has ${length * elementBytes} bytes, got ${bytes.length}`,
    );
  }
  // `new Uint8Array` copies in any case; `slice` of a Node Buffer would be a view.
  const aligned = bytes.byteOffset % elementBytes === 0 ? bytes : new Uint8Array(bytes);
  return new Tensor(dtype, storageView(dtype, aligned.buffer, aligned.byteOffset, length), shape);
}

/** The little-endian row-major bytes of a tensor (shared memory where its data is contiguous). */
export function bytesOfTensor(tensor: Tensor): Uint8Array {
  checkByteOrder(byteSize(tensor.dtype));
  return tensor.bytes;
}
