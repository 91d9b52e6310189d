/**
 * One .npy or .safetensors file of many results [N, ...], written while they are computed: the header first, then each batch.
 * The file takes its name when it is complete.
 */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { DataError, type Tensor } from "@dcae/core";
import { bytesOfTensor, encodeNpyHeader, fileError, planSafetensors, writeFileAtomic } from "@dcae/core/checkpoint";
import { arrayFormatOf } from "./file-kind.js";

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
