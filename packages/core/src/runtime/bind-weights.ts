/**
 * How the parameters of a program reach an ONNX model without a second copy in the JavaScript heap.
 *
 * Weights that lie in a local file in the right dtype are referenced by file and offset; the runtime maps them. Everything
 * else (converted, concatenated or downloaded weights) is read, and handed over as external data in memory, since a model
 * itself can't exceed 2 GB. Only small tensors are stored in the model: constant folding needs no second file for them.
 *
 * The runtime takes external data from files or from memory, not from both in one model. A mixture (a diffusers checkpoint
 * has its attention projections in pieces, which are joined) becomes one or the other: what had to be read is stored in the
 * model while there is little of it, otherwise everything is read.
 */
import type { WeightEntry, Weights } from "../checkpoint/weights.js";
import { CheckpointError } from "../errors.js";
import { byteSize } from "../graph/dtype.js";
import type { ParameterSpec } from "../graph/parameter.js";
import type { Program } from "../graph/program.js";
import { Tensor } from "../graph/tensor.js";
import type { ParameterBinding } from "../onnx/lower-program.js";

/** Tensors up to this many bytes are stored in the model. */
const INLINE_BYTES = 4096;
/** Where some weights lie in files, this many bytes of others are stored in the model: far below its limit of 2 GB. */
const MAX_INLINE_TOTAL = 512 * 2 ** 20;

export interface BoundWeights {
  readonly bindings: ReadonlyMap<string, ParameterBinding>;
  /** Folder of the files that bindings refer to. */
  readonly folder: string | undefined;
  readonly buffers: ReadonlyMap<string, Uint8Array>;
}

/** Resolves symbolic links (the hub's cache consists of them) and splits a path; undefined where there are no files. */
export type LocateFile = (path: string) => Promise<{ readonly folder: string; readonly name: string }>;

function entryFor(spec: ParameterSpec, weights: Weights): WeightEntry {
  const entry = weights.entries.get(spec.name);
  if (entry === undefined) throw new CheckpointError(`${weights.source}: there is no tensor "${spec.name}"`);
  if (entry.shape.join() !== spec.shape.join()) {
    throw new CheckpointError(
      `${weights.source}: "${spec.name}" is [${entry.shape.join(", ")}], the model needs [${spec.shape.join(", ")}]`,
    );
  }
  return entry;
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
  const located = new Map<string, Awaited<ReturnType<LocateFile>>>();
  let folder: string | undefined;

  /** A reference into a file, where the runtime can read these bytes as they are. */
  async function reference(spec: ParameterSpec, entry: WeightEntry): Promise<ParameterBinding | undefined> {
    const { location } = entry;
    if (locate === undefined || location === undefined || entry.dtype !== spec.dtype) return undefined;
    if (location.byteLength <= INLINE_BYTES || location.offset % byteSize(spec.dtype) !== 0) return undefined;
    const file = located.get(location.path) ?? (await locate(location.path));
    located.set(location.path, file);
    folder ??= file.folder;
    // The runtime takes one folder; files elsewhere are read instead.
    return file.folder === folder ? { ...location, location: file.name } : undefined;
  }

  /** The values as the program needs them, in memory that is nobody else's: the host takes buffers away. */
  async function readOwned(spec: ParameterSpec): Promise<Tensor> {
    const stored = await entryFor(spec, weights).read();
    const tensor = stored.cast(spec.dtype);
    return tensor === stored ? new Tensor(spec.dtype, tensor.data.slice(), spec.shape) : tensor;
  }

  for (const spec of program.parameters.values()) {
    if (held.has(spec.name)) continue;
    const binding = await reference(spec, entryFor(spec, weights));
    if (binding !== undefined) {
      bindings.set(spec.name, binding);
      referenced.add(spec);
      continue;
    }
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
