/**
 * ONNX files on disk: the model, and beside it one file of external data when the weights are large.
 *
 * The data file is streamed tensor by tensor, so that its size is bounded by the disk and not by memory.
 */
import { basename } from "node:path";
import { writeFileAtomic } from "../checkpoint/atomic-file.node.js";
import type { Weights } from "../checkpoint/weights.js";
import { CheckpointError } from "../errors.js";
import { byteSize } from "../graph/dtype.js";
import type { Program } from "../graph/program.js";
import { sizeOf, type Tensor } from "../graph/tensor.js";
import type { ParameterSpec } from "../graph/value.js";
import { lowerProgram, type ParameterBinding } from "./lower-program.js";
import { type ExternalData, encodeModel } from "./model-proto.js";

/** Browsers load one file more easily than two; ONNX files can't exceed 2 GB, and loaders hold them in memory whole. */
const DEFAULT_MAX_INLINE_BYTES = 256 * 2 ** 20;
/** Tensors that stay in the model beside external data: constant folding looks at them. */
const SMALL_TENSOR_BYTES = 1024;
/** Runtimes map external data by pages. */
const ALIGNMENT = 4096;

export interface WriteOnnxOptions {
  /** Shown by model viewers. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Weights up to this size are stored in the model file (default 256 MiB). */
  readonly maxInlineBytes?: number | undefined;
  readonly onProgress?:
    | ((progress: { readonly writtenBytes: number; readonly totalBytes: number }) => void)
    | undefined;
}

const bytesOf = (spec: ParameterSpec) => sizeOf(spec.shape) * byteSize(spec.dtype);

/**
 * Writes `program` to `path` with its weights in it, or in `path` + "_data" when they are larger than `maxInlineBytes`.
 *
 * @returns the names of the files written, the model last
 * @throws CheckpointError when a weight is missing, DataError when a file can't be written
 */
export async function writeOnnx(
  program: Program,
  weights: Weights,
  path: string,
  options: WriteOnnxOptions = {},
): Promise<string[]> {
  const specs = [...program.parameters.values()];
  const totalBytes = specs.reduce((sum, spec) => sum + bytesOf(spec), 0);
  const external = totalBytes > (options.maxInlineBytes ?? DEFAULT_MAX_INLINE_BYTES);
  const dataPath = `${path}_data`;
  const bindings = new Map<string, ParameterBinding>();
  let writtenBytes = 0;

  async function read(spec: ParameterSpec): Promise<Tensor> {
    const entry = weights.entries.get(spec.name);
    if (entry === undefined) throw new CheckpointError(`${weights.source}: there is no tensor "${spec.name}"`);
    const tensor = (await entry.read()).cast(spec.dtype);
    writtenBytes += tensor.byteLength;
    options.onProgress?.({ writtenBytes, totalBytes });
    return tensor;
  }

  const outside = external ? specs.filter((spec) => bytesOf(spec) > SMALL_TENSOR_BYTES) : [];
  if (external) {
    await writeFileAtomic(dataPath, async (file) => {
      for (const spec of outside) {
        await file.write(new Uint8Array((ALIGNMENT - (file.position % ALIGNMENT)) % ALIGNMENT));
        const place: ExternalData = { location: basename(dataPath), offset: file.position, byteLength: bytesOf(spec) };
        bindings.set(spec.name, place);
        await file.write((await read(spec)).bytes);
      }
    });
  }
  for (const spec of specs) if (!bindings.has(spec.name)) bindings.set(spec.name, await read(spec));
  // Every parameter was bound just above.
  const lowered = lowerProgram(program, (spec) => bindings.get(spec.name) ?? "input");
  const bytes = encodeModel({ ...lowered, metadata: options.metadata ?? {} });
  await writeFileAtomic(path, (file) => file.write(bytes));
  return external ? [basename(dataPath), basename(path)] : [basename(path)];
}
