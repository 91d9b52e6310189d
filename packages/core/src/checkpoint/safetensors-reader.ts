/**
 * Safetensors files as lazily read weights: opening reads the header only, each array is read when it is asked for.
 */
import type { ByteSource } from "./byte-source.js";
import { readSafetensorsHeader, type TensorInfo } from "./safetensors-header.js";
import { tensorFromBytes } from "./tensor-bytes.js";
import type { WeightEntry, Weights } from "./weights.js";

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
