/**
 * The names that a PyTorch file may import, and the data that each one stands for: tensors, storages, dicts, sizes, and a
 * few objects of training checkpoints that hold no tensors and are passed over unseen. From the object that they make, the named,
 * lazily read tensors.
 */
import { CheckpointError } from "../../errors.js";
import { byteSize, type DType, storageView } from "../../graph/dtype.js";
import { rowMajorStrides, sizeOf, Tensor } from "../../graph/tensor.js";
import type { ByteSource } from "../byte-source.js";
import { quoted } from "../json-text.js";
import { tensorFromBytes, type WeightEntry } from "../weights.js";
import {
  type PickleDict,
  type PickleGlobal,
  type PickleObject,
  type PickleReference,
  type PickleValue,
  tooMuchShared,
} from "./pickle.js";

/** A run of elements in the file that tensors are views of. */
export interface TorchStorage extends PickleObject {
  readonly kind: "storage";
  readonly key: string;
  readonly dtype: DType;
  /** Elements. */
  readonly length: number;
  /** First element within the stored run (old files share runs between storages). */
  readonly start: number;
}

/** A strided view of a storage; offset and strides in elements. */
interface TorchTensor extends PickleObject {
  readonly kind: "tensor";
  readonly storage: TorchStorage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** As many as PyTorch allows. */
const MAX_DIMENSIONS = 64;

const STORAGE_DTYPES: Readonly<Record<string, DType>> = {
  DoubleStorage: "float64",
  FloatStorage: "float32",
  HalfStorage: "float16",
  BFloat16Storage: "bfloat16",
  LongStorage: "int64",
  IntStorage: "int32",
  ShortStorage: "int16",
  CharStorage: "int8",
  ByteStorage: "uint8",
  BoolStorage: "bool",
};

/** Objects of training checkpoints without tensors. They are neither made nor called. */
const OPAQUE = [
  "argparse.Namespace",
  "_codecs.encode",
  "numpy.dtype",
  "numpy.ndarray",
  "numpy.core.multiarray._reconstruct",
  "numpy.core.multiarray.scalar",
  "numpy._core.multiarray._reconstruct",
  "numpy._core.multiarray.scalar",
  "torch.device",
];

function isCount(value: PickleValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isCounts(value: PickleValue | undefined): value is number[] {
  return Array.isArray(value) && value.every(isCount);
}

function isTorchTensor(value: unknown): value is TorchTensor {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "tensor";
}

function isStorage(value: PickleValue | undefined): value is TorchStorage {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "storage";
}

/** `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)` and its predecessor with four arguments. */
const rebuildTensor: PickleGlobal = ([storage, offset, shape, strides], what) => {
  if (Array.isArray(shape) && shape.length > MAX_DIMENSIONS) {
    throw new CheckpointError(`${what}: a tensor has ${shape.length} dimensions, more than ${MAX_DIMENSIONS}`);
  }
  if (!isStorage(storage) || !isCount(offset) || !isCounts(shape) || !isCounts(strides)) {
    throw new CheckpointError(`${what}: a tensor isn't described by a storage, an offset, sizes and strides`);
  }
  if (shape.length !== strides.length) {
    throw new CheckpointError(`${what}: a tensor has ${shape.length} sizes and ${strides.length} strides`);
  }
  const size = sizeOf(shape);
  const last = shape.reduce((sum, dim, axis) => sum + Math.max(dim - 1, 0) * (strides[axis] as number), offset);
  const inside = size === 0 || (Number.isSafeInteger(last) && last < storage.length);
  // A tensor expanded from fewer elements could claim any size; none of the published weights is one.
  if (!inside || !(size <= storage.length)) {
    throw new CheckpointError(
      `${what}: a tensor [${shape.join(", ")}] lies outside of its storage of ${storage.length} elements`,
    );
  }
  const tensor: TorchTensor = { kind: "tensor", storage, offset, shape: [...shape], strides: [...strides] };
  return tensor;
};

const orderedDict: PickleGlobal = ([items], what) => {
  const dict: PickleDict = new Map();
  if (items === undefined) return dict;
  if (!Array.isArray(items)) throw new CheckpointError(`${what}: an OrderedDict isn't made from a list of pairs`);
  for (const pair of items) {
    if (!Array.isArray(pair) || pair.length !== 2) {
      throw new CheckpointError(`${what}: an OrderedDict isn't made from a list of pairs`);
    }
    dict.set(pair[0] as PickleValue, pair[1] as PickleValue);
  }
  return dict;
};

const rebuildParameter: PickleGlobal = ([tensor], what) => {
  if (!isTorchTensor(tensor)) throw new CheckpointError(`${what}: a parameter holds no tensor`);
  return tensor;
};

const firstArgument: PickleGlobal = ([value], what) => {
  if (value === undefined) throw new CheckpointError(`${what}: a call has no argument`);
  return value;
};

const storageType =
  (name: string): PickleGlobal =>
  (_args, what) => {
    throw new CheckpointError(`${what}: ${name} is called; storages are only referred to`);
  };

const entries: [string, PickleGlobal][] = [
  ["collections.OrderedDict", orderedDict],
  ["torch._utils._rebuild_tensor", rebuildTensor],
  ["torch._utils._rebuild_tensor_v2", rebuildTensor],
  ["torch._utils._rebuild_parameter", rebuildParameter],
  ["torch.Size", firstArgument],
  ...Object.keys(STORAGE_DTYPES).map((name): [string, PickleGlobal] => [`torch.${name}`, storageType(name)]),
  ...OPAQUE.map((name): [string, PickleGlobal] => [name, () => ({ kind: "opaque", name })]),
];

/** Everything that a file may import, by its full name. */
export const TORCH_GLOBALS: ReadonlyMap<string, PickleGlobal> = new Map(entries);

function isReference(value: PickleValue | undefined): value is PickleReference {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "global";
}

/**
 * The storage that a persistent id names: ("storage", type, key, device, elements) and, in old files, a sixth item: null
 * or (key of the view, offset, elements).
 *
 * @param what for messages: the file
 * @throws CheckpointError for anything else
 */
export function storageOf(id: PickleValue, what: string): TorchStorage {
  const [kind, type, key, , length, view] = Array.isArray(id) ? id : [];
  if (kind !== "storage" || !isReference(type) || typeof key !== "string" || !isCount(length)) {
    throw new CheckpointError(`${what}: a storage isn't named by its type, key and length`);
  }
  const dtype = STORAGE_DTYPES[type.name.replace(/^torch\./, "")];
  if (dtype === undefined) throw new CheckpointError(`${what}: ${quoted(type.name)} isn't a type of storage`);
  if (view === undefined || view === null) return { kind: "storage", key, dtype, length, start: 0 };
  const [, start, part] = Array.isArray(view) ? view : [];
  if (!isCount(start) || !isCount(part) || start + part > length) {
    throw new CheckpointError(`${what}: a view of storage ${quoted(key)} lies outside of it`);
  }
  return { kind: "storage", key, dtype, length: part, start };
}

/** Checkpoints nest a few levels (ema, decay, state dict); an object that contains itself has no end. */
const MAX_DEPTH = 16;
/** Characters of all names together, per byte of the pickle: prefixes repeat on the way down, keys mostly stand there once each. */
const MAX_NAME_CHARACTERS_PER_BYTE = 8;

/** Where the bytes of a storage (by key) start in the source. */
type StoragePlaces = (key: string) => number;

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
