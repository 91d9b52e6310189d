/**
 * The contract of an engine: it loads programs with their weights and runs them.
 */
import type { Weights } from "../checkpoint/weights.js";
import type { Program } from "../graph/program.js";
import type { Tensor } from "../graph/tensor.js";

/** Execution providers of ONNX Runtime, by the names of its JavaScript packages. */
export const DEVICES = ["cpu", "webgpu", "cuda", "tensorrt", "coreml", "dml", "wasm"] as const;
export type Device = (typeof DEVICES)[number];

/** The type that a program computes in. Inputs and outputs stay float32. */
export type ComputeDType = "float32" | "float16";

export interface EngineOptions {
  /** "auto" takes the fastest device that works here (see `OnnxEngine` for the order). Default "auto". */
  readonly device?: Device | "auto";
  /** Default "float32". float16 halves memory where the device computes in it; on CPU it is slower. */
  readonly dtype?: ComputeDType;
  /** Threads that one operator may use on the CPU. Default: as many as the machine offers. */
  readonly threads?: number;
}

export type NamedTensors = Readonly<Record<string, Tensor>>;

export interface LoadedProgram {
  /**
   * One run. Runs of one program may be started at once; they are executed one after the other.
   *
   * @param inputs a tensor per program input, of its shape and dtype
   * @returns a tensor per program output
   * @throws EngineError when an input is missing, unknown or mis-shaped, or the runtime fails
   */
  run(inputs: NamedTensors): Promise<Record<string, Tensor>>;
  /** Frees the program's memory on the device. Running programs finish first. */
  dispose(): Promise<void>;
}

export interface Engine {
  /** For messages, as in "onnxruntime-node cpu". */
  readonly name: string;
  readonly device: Device;
  /**
   * Prepares a program.
   *
   * @param weights must hold every parameter of the program, in its shape; float types are converted
   * @throws CheckpointError when a parameter is missing or mis-shaped, EngineError when the runtime refuses the program
   */
  load(program: Program, weights: Weights): Promise<LoadedProgram>;
  /** Disposes every program and ends the engine's threads. */
  dispose(): Promise<void>;
}
