/**
 * From the object that a PyTorch file holds to named, lazily read tensors.
 */
import { CheckpointError } from "../errors.js";
import { byteSize, storageView } from "../graph/dtype.js";
import { rowMajorStrides, sizeOf, Tensor } from "../graph/tensor.js";
import type { ByteSource } from "./byte-source.js";
import { quoted } from "./json-text.js";
import { tensorFromBytes } from "./tensor-bytes.js";
import { isTorchTensor, type TorchTensor } from "./torch-globals.js";
import { type PickleValue, tooMuchShared } from "./torch-pickle.js";
import type { WeightEntry } from "./weights.js";

/** Checkpoints nest a few levels (ema, decay, state dict); an object that contains itself has no end. */
const MAX_DEPTH = 16;
/** Characters of all names together, per byte of the pickle: prefixes repeat on the way down, keys mostly stand there once each. */
const MAX_NAME_CHARACTERS_PER_BYTE = 8;

/** Where the bytes of a storage (by key) start in the source. */
export type StoragePlaces = (key: string) => number;

/**
 * Every tensor below `value`, named by the keys on the way to it, joined with dots.
 *
 * Parts that are shared are visited once per path. A pickle of a few bytes can turn that into any number of tensors, so there are
 * no more visits than it has bytes, each of which it takes at least one to describe.
 *
 * @param bytes size of the pickle
 * @throws CheckpointError when two tensors get the same name, the nesting has no end, or shared parts unfold to too many
 */
export function collectTensors(value: PickleValue, bytes: number, what: string): Map<string, TorchTensor> {
  const found = new Map<string, TorchTensor>();
  let visits = 0;
  let characters = 0;
  const visit = (item: PickleValue, path: string, depth: number): void => {
    if (isTorchTensor(item)) {
      if (found.has(path)) throw new CheckpointError(`${what}: two tensors are named ${quoted(path)}`);
      found.set(path, item);
      return;
    }
    const children = item instanceof Map ? item.entries() : Array.isArray(item) ? item.entries() : undefined;
    if (children === undefined) return;
    if (depth === MAX_DEPTH)
      throw new CheckpointError(`${what}: its objects are nested deeper than ${MAX_DEPTH} levels`);
    for (const [key, child] of children) {
      visits += 1;
      if (visits > bytes) throw tooMuchShared(what, bytes);
      if (typeof child !== "object" || child === null) continue;
      const name = typeof key === "string" || typeof key === "number" ? String(key) : undefined;
      if (name === undefined) continue;
      characters += path.length + 1 + name.length;
      if (characters > MAX_NAME_CHARACTERS_PER_BYTE * bytes) throw tooMuchShared(what, bytes);
      visit(child, path === "" ? name : `${path}.${name}`, depth + 1);
    }
  };
  visit(value, "", 0);
  return found;
}

/** Lazily read entries of tensors whose storages lie in `source`. */
export function torchEntries(
  source: ByteSource,
  tensors: ReadonlyMap<string, TorchTensor>,
  places: StoragePlaces,
): Map<string, WeightEntry> {
  return new Map([...tensors].map(([name, tensor]) => [name, torchEntry(source, name, tensor, places)]));
}

function torchEntry(source: ByteSource, name: string, tensor: TorchTensor, places: StoragePlaces): WeightEntry {
  const { shape, strides, storage } = tensor;
  const { dtype } = storage;
  const size = sizeOf(shape);
  const expected = rowMajorStrides(shape);
  const contiguous = size === 0 || shape.every((dim, axis) => dim === 1 || strides[axis] === expected[axis]);
  const extent = shape.reduce((sum, dim, axis) => sum + (dim - 1) * (strides[axis] as number), size === 0 ? 0 : 1);
  const offset = places(storage.key) + (storage.start + tensor.offset) * byteSize(dtype);
  const byteLength = (contiguous ? size : extent) * byteSize(dtype);
  if (offset + byteLength > source.size) {
    throw new CheckpointError(`${source.name}: ${quoted(name)} lies behind the end of the file`, {
      hint: "The file is cut off; get it again.",
    });
  }
  const located = contiguous && source.path !== undefined;
  return {
    name,
    dtype,
    shape,
    location: located ? { path: source.path, offset, byteLength } : undefined,
    async read() {
      const bytes = await source.read(offset, byteLength);
      if (contiguous) return tensorFromBytes(dtype, shape, bytes);
      const flat = tensorFromBytes(dtype, [extent], bytes).data;
      return new Tensor(dtype, storageView(dtype, flat.buffer, flat.byteOffset, extent), shape, {
        strides: [...strides],
        offset: 0,
      });
    },
  };
}
