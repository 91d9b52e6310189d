/**
 * Where ONNX Runtime sessions live: in this thread, in a worker thread, in the browser. `OnnxEngine` is the same for all.
 */

import type { FileLocation } from "../checkpoint/weights.js";
import { EngineError } from "../errors.js";
import type { DType, StorageOf } from "../graph/dtype.js";
import { Tensor } from "../graph/tensor.js";
import type { Device, TensorPlace } from "./engine.js";

/** Dtypes that cross the JavaScript boundary of ONNX Runtime. */
type SessionDType = Exclude<DType, "bfloat16" | "float8_e4m3fn" | "float8_e5m2">;

/** Tensors that live where the sessions live. */
export interface SessionState {
  /** @param isGiven whether the host may take the tensors' memory */
  write(tensors: ReadonlyMap<string, Tensor>, isGiven: boolean): Promise<void>;
  read(names: readonly string[]): Promise<Map<string, Tensor>>;
  /** Lays float32 tensors into shared memory; those that it doesn't hold are what is there. */
  place(places: ReadonlyMap<string, TensorPlace>, memory: Float32Array): Promise<void>;
  release(): Promise<void>;
}

/** How a session uses a state: inputs it takes from there, and outputs it puts there when a run succeeded. */
export interface StateBinding {
  readonly state: SessionState;
  readonly inputs: readonly string[];
  /** Name in the state, by the name of the output. */
  readonly outputs: ReadonlyMap<string, string>;
  /** Names in the state whose new value may be written over the old one while the session runs. */
  readonly inPlace: ReadonlySet<string>;
}

/** How a session is made. */
export interface SessionOptions {
  readonly device: Device;
  readonly threads?: number | undefined;
  /** Folder that external data is named relative to. */
  readonly externalFolder?: string | undefined;
  /** External data held in memory, by its name in the model. The host takes the buffers: don't use them afterwards. */
  readonly externalBuffers: ReadonlyMap<string, Uint8Array>;
  readonly binding?: StateBinding | undefined;
  /**
   * Keep freed memory for the next operator instead of giving it back to the system (default false). Costs memory; saves
   * the time of getting hundreds of megabytes of fresh pages for each operator.
   */
  readonly arena?: boolean | undefined;
  /**
   * Lay out the intermediate values of a run in one block, planned at the first run (default true). The block is mapped anew
   * at every run, or held beside the pieces that the first run took where there is an arena.
   */
  readonly planMemory?: boolean | undefined;
  /** Convert weights of convolutions into the layout that the CPU's kernels like best (default true). Takes a copy of them. */
  readonly packWeights?: boolean | undefined;
  /** Ask for exact convolutions of 8 bits, where they aren't exact by themselves (see probes.ts; default false). */
  readonly exactInt8?: boolean | undefined;
  /** Run the model as it is: where it runs only a few times, optimizing it takes longer than running it (default false). */
  readonly unoptimized?: boolean | undefined;
}

/** Numbers in float32 as they lie in a file. */
export interface FileTensor {
  readonly shape: readonly number[];
  readonly location: FileLocation;
}

/** A run whose outputs go into a file, which is there already. */
export interface FileRun {
  readonly inputs: ReadonlyMap<string, FileTensor>;
  readonly path: string;
  /** Where each output begins. */
  readonly offsets: ReadonlyMap<string, number>;
}

/** An ONNX model that is ready to run. */
export interface Session {
  /** Outputs that a binding puts into a state aren't among the results. */
  run(inputs: ReadonlyMap<string, Tensor>): Promise<Map<string, Tensor>>;
  /** Runs whose inputs and outputs lie in files: one is written while the next is computed. Absent where a host has no files. */
  runInFiles?(runs: readonly FileRun[]): Promise<void>;
  release(): Promise<void>;
}

/** What runs ONNX models: a worker thread of Node, a web worker, or the page itself. */
export interface SessionHost {
  /** For messages, as in "onnxruntime-node". */
  readonly name: string;
  /** Whether models may refer to local files. */
  readonly readsFiles: boolean;
  /** Takes the bytes of the model too: don't use them afterwards. */
  createSession(model: Uint8Array, options: SessionOptions): Promise<Session>;
  /** Absent where a host keeps no state. */
  createState?(): Promise<SessionState>;
  close(): Promise<void>;
}

export interface WireTensor {
  readonly name: string;
  readonly dtype: SessionDType;
  readonly shape: readonly number[];
  readonly data: StorageOf<SessionDType>;
}

/** @throws EngineError for dtypes that ONNX Runtime's JavaScript API doesn't take */
export function toWire(name: string, tensor: Tensor): WireTensor {
  const { dtype, shape } = tensor;
  if (dtype === "bfloat16" || dtype === "float8_e4m3fn" || dtype === "float8_e5m2") {
    throw new EngineError(`input "${name}": ONNX Runtime doesn't take ${dtype} from JavaScript; cast it to float32`);
  }
  return { name, dtype, shape, data: tensor.data as StorageOf<SessionDType> };
}

export function fromWire({ dtype, shape, data }: WireTensor): Tensor {
  return new Tensor(dtype, data, shape);
}
