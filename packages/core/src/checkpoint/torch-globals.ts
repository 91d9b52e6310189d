/**
 * The names that a PyTorch file may import, and the data that each one stands for: tensors, storages, dicts, sizes, and a
 * few objects of training checkpoints that hold no tensors and are passed over unseen.
 */
import { CheckpointError } from "../errors.js";
import type { DType } from "../graph/dtype.js";
import { sizeOf } from "../graph/tensor.js";
import { quoted } from "./json-text.js";
import type { PickleDict, PickleGlobal, PickleObject, PickleReference, PickleValue } from "./torch-pickle.js";

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
export interface TorchTensor extends PickleObject {
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

export function isTorchTensor(value: unknown): value is TorchTensor {
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
