/**
 * How the parameters of a program reach an ONNX model without a second copy in the JavaScript heap.
 *
 * Weights that lie in a local file in the right dtype are referenced by file and offset; the runtime maps them. Those in half
 * precision are referenced too, and widened by the runtime, which then holds one copy. Everything
 * else (narrowed, concatenated or downloaded weights) is read, and handed over as external data in memory, since a model
 * itself can't exceed 2 GB. Only small tensors are stored in the model: constant folding needs no second file for them.
 *
 * The runtime resolves files against one folder, and takes external data from files or from memory, not from both in one
 * model: the folder is the deepest that holds all files. A mixture of files and memory (a diffusers checkpoint
 * has its attention projections in pieces, which are joined) becomes one or the other: what had to be read is stored in the
 * model while there is little of it, otherwise everything is read.
 */
import type { FileLocation, WeightEntry, Weights } from "../checkpoint/weights.js";
import { CheckpointError } from "../errors.js";
import { byteSize, type DType } from "../graph/dtype.js";
import type { Program } from "../graph/program.js";
import { Tensor } from "../graph/tensor.js";
import type { ParameterSpec } from "../graph/value.js";
import type { ParameterBinding } from "../onnx/lower-program.js";

/** Tensors up to this many bytes are stored in the model. */
export const INLINE_BYTES = 4096;
/** Where some weights lie in files, this many bytes of others are stored in the model: far below its limit of 2 GB. */
const MAX_INLINE_TOTAL = 512 * 2 ** 20;

export interface BoundWeights {
  readonly bindings: ReadonlyMap<string, ParameterBinding>;
  /** Folder of the files that bindings refer to. */
  readonly folder: string | undefined;
  readonly buffers: ReadonlyMap<string, Uint8Array>;
}

/** Resolves symbolic links (the hub's cache consists of them) to the absolute path of the file. */
export type LocateFile = (path: string) => Promise<string>;

/** @throws CheckpointError where it is missing */
export function findEntry(name: string, weights: Weights): WeightEntry {
  const entry = weights.entries.get(name);
  if (entry === undefined) throw new CheckpointError(`${weights.source}: there is no tensor "${name}"`);
  return entry;
}

/** @throws CheckpointError where it is missing or has another shape */
export function entryFor(spec: ParameterSpec, weights: Weights): WeightEntry {
  const entry = findEntry(spec.name, weights);
  if (entry.shape.join() !== spec.shape.join()) {
    throw new CheckpointError(
      `${weights.source}: "${spec.name}" is [${entry.shape.join(", ")}], the model needs [${spec.shape.join(", ")}]`,
    );
  }
  return entry;
}

/** Whether the runtime can take a weight's bytes from its file as they are. */
export function isMappable({ dtype }: { readonly dtype: DType }, { location, dtype: stored }: WeightEntry): boolean {
  if (location === undefined || stored !== dtype) return false;
  return location.byteLength > INLINE_BYTES && location.offset % byteSize(dtype) === 0;
}

/** Whether the runtime can read a weight from its file and widen it: half precision for a program in float32. */
function isWidenable({ dtype }: { readonly dtype: DType }, entry: WeightEntry): boolean {
  if (dtype !== "float32" || (entry.dtype !== "float16" && entry.dtype !== "bfloat16")) return false;
  return isMappable(entry, entry);
}

/** The deepest folder that holds all files; undefined where there is none (drives of Windows). */
function commonFolder(paths: readonly string[]): string | undefined {
  const [first = "", ...others] = paths;
  let folder = first;
  do {
    const end = Math.max(folder.lastIndexOf("/"), folder.lastIndexOf("\\"));
    if (end < 0) return undefined;
    folder = folder.slice(0, end);
  } while (!others.every((path) => path.startsWith(folder) && /[\\/]/.test(path.charAt(folder.length))));
  return folder === "" ? "/" : folder;
}

/** Binds every parameter of `program`, except those that `held` names (an engine holds them as state). */
export async function bindWeights(
  program: Program,
  weights: Weights,
  locate: LocateFile | undefined,
  held: { has(name: string): boolean } = new Set(),
  maxInlineTotal = MAX_INLINE_TOTAL,
): Promise<BoundWeights> {
  const bindings = new Map<string, ParameterBinding>();
  const read = new Map<ParameterSpec, Tensor>();
  const referenced = new Set<ParameterSpec>();
  const located = new Map<string, string>();

  /** The values as the program needs them, in memory that is nobody else's: the host takes buffers away. */
  async function readOwned(spec: ParameterSpec): Promise<Tensor> {
    const stored = await entryFor(spec, weights).read();
    const tensor = stored.cast(spec.dtype);
    return tensor === stored ? new Tensor(spec.dtype, tensor.data.slice(), spec.shape) : tensor;
  }

  const specs = [...program.parameters.values()].filter(({ name }) => !held.has(name));
  const isReferable = (spec: ParameterSpec, entry: WeightEntry) => isMappable(spec, entry) || isWidenable(spec, entry);
  const mappable = locate === undefined ? [] : specs.filter((spec) => isReferable(spec, entryFor(spec, weights)));
  const pathOf = (spec: ParameterSpec) => located.get(findEntry(spec.name, weights).location?.path ?? "") as string;
  for (const spec of mappable) {
    const { path } = findEntry(spec.name, weights).location as FileLocation;
    if (!located.has(path)) located.set(path, await (locate as LocateFile)(path));
  }
  const folder = mappable.length > 0 ? commonFolder([...located.values()]) : undefined;
  for (const spec of folder === undefined ? [] : mappable) {
    const entry = findEntry(spec.name, weights);
    const { offset, byteLength } = entry.location as FileLocation;
    const location = pathOf(spec)
      .slice((folder as string).length)
      .replace(/^[\\/]/, "");
    const range = { location, offset, byteLength };
    bindings.set(spec.name, entry.dtype === spec.dtype ? range : { ...range, storedAs: entry.dtype });
    referenced.add(spec);
  }
  for (const spec of specs) {
    if (referenced.has(spec)) continue;
    const tensor = await readOwned(spec);
    if (tensor.byteLength <= INLINE_BYTES) bindings.set(spec.name, tensor);
    else read.set(spec, tensor);
  }

  const readBytes = [...read.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (referenced.size > 0 && readBytes <= maxInlineTotal) {
    for (const [spec, tensor] of read) bindings.set(spec.name, tensor);
    return { bindings, folder, buffers: new Map() };
  }
  if (read.size > 0) for (const spec of referenced) read.set(spec, await readOwned(spec));
  const buffers = new Map<string, Uint8Array>();
  for (const [spec, tensor] of read) {
    const name = `memory/${buffers.size}`;
    buffers.set(name, tensor.bytes);
    bindings.set(spec.name, { location: name, offset: 0, byteLength: tensor.byteLength });
  }
  return { bindings, folder: buffers.size > 0 ? undefined : folder, buffers };
}
