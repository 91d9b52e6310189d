/**
 * .npy files on disk (Node).
 */
import { DataError, DcaeError } from "../../errors.js";
import type { Tensor } from "../../graph/tensor.js";
import { writeFileAtomic } from "../atomic-file.node.js";
import { openFileSource } from "../file-source.node.js";
import { bytesOfTensor } from "../weights.js";
import { decodeNpy, encodeNpyHeader } from "./npy.js";

/**
 * Reads a .npy file.
 *
 * @throws DataError when it can't be read or isn't a supported array
 */
export async function readNpyFile(path: string): Promise<Tensor> {
  const bytes = await readWholeFile(path);
  return decodeNpy(bytes, path);
}

/**
 * Writes a .npy file atomically (C order, as `numpy.save`).
 *
 * @throws DataError when it can't be written, or for dtypes NumPy doesn't have
 */
export async function writeNpyFile(path: string, tensor: Tensor): Promise<void> {
  const header = encodeNpyHeader(tensor.dtype, tensor.shape);
  await writeFileAtomic(path, async (file) => {
    await file.write(header);
    await file.write(bytesOfTensor(tensor));
  });
}

async function readWholeFile(path: string): Promise<Uint8Array> {
  try {
    const source = await openFileSource(path);
    try {
      return await source.read(0, source.size);
    } finally {
      await source.close();
    }
  } catch (error) {
    // The source speaks of checkpoints; for arrays the same lines are data errors.
    if (error instanceof DcaeError) {
      throw new DataError(error.message, {
        cause: error.cause,
        ...(error.hint === undefined ? {} : { hint: error.hint }),
      });
    }
    throw error;
  }
}
