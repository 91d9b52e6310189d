/**
 * Named arrays of a checkpoint that are read one by one, so that a file of many gigabytes is never held in the heap.
 */
import type { DType } from "../graph/dtype.js";
import type { Tensor } from "../graph/tensor.js";

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
