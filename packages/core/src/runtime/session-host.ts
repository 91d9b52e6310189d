/**
 * Where ONNX Runtime sessions live: in this thread, in a worker thread, in the browser. `OnnxEngine` is the same for all.
 */
import type { DType } from "../graph/dtype.js";
import type { Tensor } from "../graph/tensor.js";
import type { Device } from "./engine.js";

/** Dtypes that cross the JavaScript boundary of ONNX Runtime. */
export type SessionDType = Exclude<DType, "bfloat16" | "float8_e4m3fn" | "float8_e5m2">;

export interface SessionOptions {
  readonly device: Device;
  readonly threads?: number | undefined;
  /** Folder that external data is named relative to. */
  readonly externalFolder?: string | undefined;
  /** External data held in memory, by its name in the model. */
  readonly externalBuffers: ReadonlyMap<string, Uint8Array>;
}

export interface Session {
  run(inputs: ReadonlyMap<string, Tensor>): Promise<Map<string, Tensor>>;
  release(): Promise<void>;
}

export interface SessionHost {
  /** For messages, as in "onnxruntime-node". */
  readonly name: string;
  /** Whether models may refer to local files. */
  readonly readsFiles: boolean;
  createSession(model: Uint8Array, options: SessionOptions): Promise<Session>;
  close(): Promise<void>;
}
