/**
 * Arrays in .npy and .safetensors files, read a few rows at a time: a file of all latents of a data set is never in memory
 * as a whole.
 */
import { mkdir } from "node:fs/promises";
import { dirname, extname } from "node:path";
import { CheckpointError, DataError, type Tensor } from "@dcae/core";
import {
  type ByteSource,
  bytesOfTensor,
  encodeNpyHeader,
  fileError,
  openFileSource,
  openSafetensorsFile,
  parseNpyHeader,
  planSafetensors,
  readNpyFile,
  tensorFromBytes,
  writeFileAtomic,
} from "@dcae/core/checkpoint";
import { byteSize, type DType, sizeOf } from "@dcae/core/graph";
import { UsageError } from "../errors.js";

// What a file is, by the ending of its name.

export type ArrayFormat = "npy" | "safetensors";

/** The format of an array file, or undefined when the name isn't that of one. */
export function arrayFormatOf(path: string): ArrayFormat | undefined {
  const ending = extname(path).toLowerCase();
  return ending === ".npy" ? "npy" : ending === ".safetensors" ? "safetensors" : undefined;
}

/** An open array of rank 4 (an array of rank 3 counts as a batch of one). */
export interface ArrayFile {
  readonly dtype: DType;
  /** [N, C, H, W] */
  readonly shape: readonly number[];
  /** Item `index` of the first axis, as [1, C, H, W]. */
  readItem(index: number): Promise<Tensor>;
  close(): Promise<void>;
}

/** Headers of plain arrays are far shorter. */
const MAX_NPY_HEADER_BYTES = 65_536;

/**
 * Opens an array file.
 *
 * @param tensorName which array of a .safetensors file; not needed where there is only one
 * @throws DataError when it can't be read, is damaged or has another rank; UsageError for a name that is needed, unknown
 *   or without effect
 */
export async function openArrayFile(path: string, tensorName?: string): Promise<ArrayFile> {
  try {
    if (arrayFormatOf(path) === "safetensors") return await openSafetensorsArray(path, tensorName);
    if (tensorName !== undefined) {
      throw new UsageError(`--tensor has no effect on ${path}: a .npy file holds one array, without a name`);
    }
    return await openNpyArray(path);
  } catch (error) {
    // The readers speak of checkpoints; for arrays the same lines are data errors.
    if (!(error instanceof CheckpointError)) throw error;
    throw new DataError(error.message, { cause: error, ...(error.hint === undefined ? {} : { hint: error.hint }) });
  }
}

async function openNpyArray(path: string): Promise<ArrayFile> {
  const source = await openFileSource(path);
  try {
    const head = await source.read(0, Math.min(source.size, MAX_NPY_HEADER_BYTES));
    if (head.length === 0) throw new DataError(`${path}: the file is empty (0 bytes)`);
    const { dtype, shape, fortranOrder, dataOffset } = parseNpyHeader(head, path);
    // Items of arrays in Fortran order lie scattered over the file: those are read whole.
    if (fortranOrder) {
      await source.close();
      return arrayInMemory(path, await readNpyFile(path));
    }
    const expected = sizeOf(shape) * byteSize(dtype);
    if (source.size - dataOffset !== expected) {
      throw new DataError(
        `${path}: an array of ${dtype} with shape (${shape.join(", ")}) has ${expected} bytes, got ${source.size - dataOffset}`,
        { hint: "The file is cut off or holds more than one array." },
      );
    }
    return arrayInSource(source, dtype, batched(path, shape), dataOffset);
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function openSafetensorsArray(path: string, tensorName: string | undefined): Promise<ArrayFile> {
  const file = await openSafetensorsFile(path);
  try {
    const names = [...file.entries.keys()];
    const [only, second] = names;
    if (only === undefined) throw new DataError(`${path}: holds no arrays`);
    if (tensorName === undefined && second !== undefined) {
      throw new UsageError(`${path}: holds ${names.length} arrays; say which one with --tensor`, {
        hint: `There is ${listed(names)}.`,
      });
    }
    const entry = file.entries.get(tensorName ?? only);
    if (entry?.location === undefined) {
      throw new UsageError(`${path}: holds no array "${tensorName}"`, { hint: `There is ${listed(names)}.` });
    }
    const { dtype, location } = entry;
    const shape = batched(path, entry.shape);
    return arrayInSource(await openFileSource(location.path), dtype, shape, location.offset);
  } finally {
    await file.close();
  }
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(", ");
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}

/** Shape with a batch axis. */
function batched(path: string, shape: readonly number[]): readonly number[] {
  const result = shape.length === 3 ? [1, ...shape] : shape;
  if (result.length !== 4 || result.includes(0)) {
    throw new DataError(`${path}: expected an array [N, C, H, W] or [C, H, W], got [${shape.join(", ")}]`);
  }
  return result;
}

function arrayInSource(source: ByteSource, dtype: DType, shape: readonly number[], offset: number): ArrayFile {
  const itemShape = [1, ...shape.slice(1)];
  const itemBytes = sizeOf(itemShape) * byteSize(dtype);
  return {
    dtype,
    shape,
    async readItem(index) {
      return tensorFromBytes(dtype, itemShape, await source.read(offset + index * itemBytes, itemBytes));
    },
    close: () => source.close(),
  };
}

/** An array that is there already. @throws DataError for another rank */
export function arrayInMemory(path: string, tensor: Tensor): ArrayFile {
  const shape = batched(path, tensor.shape);
  const batch = tensor.reshape(shape);
  return {
    dtype: tensor.dtype,
    shape,
    readItem: async (index) => batch.slice([{ start: index, stop: index + 1 }]),
    close: async () => {},
  };
}

// One .npy or .safetensors file of many results [N, ...], written while they are computed: the header first, then each batch.
// The file takes its name when it is complete.

/** What other libraries ask for in a safetensors file. */
const METADATA = { format: "pt" };

export interface ArrayFileRequest {
  readonly path: string;
  /** N, the number of items that will come. */
  readonly count: number;
  /** Name of the array in a .safetensors file. */
  readonly tensorName: string;
}

/**
 * Writes float32 items, given to `append` as batches [n, ...].
 *
 * @throws DataError when items differ in shape, or the file can't be written; errors of `fill` pass through
 */
export async function writeArrayFile<T>(
  { path, count, tensorName }: ArrayFileRequest,
  fill: (append: (batch: Tensor) => Promise<void>) => Promise<T>,
): Promise<T> {
  await makeFolder(dirname(path));
  return writeFileAtomic(path, async (file) => {
    let itemShape: readonly number[] | undefined;
    let written = 0;
    const result = await fill(async (batch) => {
      const shape = batch.shape.slice(1);
      if (itemShape === undefined) {
        itemShape = shape;
        await file.write(header(path, [count, ...shape], tensorName));
      } else if (itemShape.join() !== shape.join()) {
        throw new DataError(
          `${path}: item ${written} has shape [${shape.join(", ")}], those before have [${itemShape.join(", ")}]`,
          { hint: "One file holds one shape: give a folder as --out, or make all inputs equal in size." },
        );
      }
      await file.write(bytesOfTensor(batch.cast("float32")));
      written += batch.shape[0] as number;
    });
    if (written !== count) throw new DataError(`${path}: ${count} items were announced, ${written} came`);
    return result;
  });
}

function header(path: string, shape: readonly number[], name: string): Uint8Array {
  return arrayFormatOf(path) === "npy"
    ? encodeNpyHeader("float32", shape)
    : planSafetensors([{ name, dtype: "float32", shape }], METADATA).header;
}

/** Makes a folder and those above it. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw fileError(error, path, "write");
  }
}
