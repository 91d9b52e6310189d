/**
 * The contract of an engine: it loads programs with their weights and runs them.
 */
import type { Weights } from "../checkpoint/weights.js";
import type { DType } from "../graph/dtype.js";
import type { Program } from "../graph/program.js";
import type { Tensor } from "../graph/tensor.js";
import type { FormOptions } from "./compile.js";

/** Execution providers of ONNX Runtime, by the names of its JavaScript packages. */
export const DEVICES = ["cpu", "webgpu", "cuda", "tensorrt", "coreml", "dml", "wasm"] as const;
/** Where programs run. Which of them work here, `dcae doctor` says. */
export type Device = (typeof DEVICES)[number];

/** The type that a program computes in, "int8" only in its convolutions. Inputs and outputs stay float32. */
export const COMPUTE_DTYPES = ["float32", "float16", "int8"] as const;
/** Types that programs compute in. */
export type ComputeDType = (typeof COMPUTE_DTYPES)[number];

/** Options of `createEngine` in Node: device, threads, form, and a folder for what is computed at loading. */
export interface EngineOptions extends FormOptions {
  /** "auto" takes the fastest device that works here (see `OnnxEngine` for the order). Default "auto". */
  readonly device?: Device | "auto";
  /** Threads that one operator may use on the CPU. Default: as many as the machine offers. */
  readonly threads?: number;
  /**
   * A folder that keeps what programs compute from their weights when they are loaded: transformed filters of rewritten
   * programs, converted weights. Programs then load at once, map these files instead of holding copies, and share them
   * between sizes and processes. Results are found by the content of the weights, so that the folder never has to be
   * cleaned; it can be removed at any time. CPU only. Default: nothing is kept.
   */
  readonly programCache?: string;
}

/** Tensors by name. */
export type NamedTensors = Readonly<Record<string, Tensor>>;

/**
 * Named tensors that an engine keeps between runs: parameters, optimizer moments, averages.
 *
 * Programs loaded against a state read their parameters from it and put their updates into it, where it lies; nothing
 * crosses to the caller until it is read.
 */
export interface EngineState {
  /** What is held, by name. */
  readonly specs: ReadonlyMap<string, { readonly shape: readonly number[]; readonly dtype: DType }>;
  /**
   * Adds tensors, or replaces those of the same name (in their shape; float types are converted).
   *
   * @throws EngineError when a tensor has another shape than the one it replaces
   */
  write(tensors: NamedTensors, options?: WriteOptions): Promise<void>;
  /** The tensor as the last finished run left it. @throws EngineError when it isn't held */
  read(name: string): Promise<Tensor>;
  /** Several tensors (all by default) between the same two runs. @throws EngineError when one isn't held */
  readAll(names?: Iterable<string>): Promise<Map<string, Tensor>>;
  /**
   * Lays float32 tensors into memory that the caller sees as well: their values are there from then on, whatever writes them. Who changes
   * them there does so between runs. Absent where an engine's tensors lie elsewhere.
   *
   * @param places of tensors that are held, or start at 0
   * @param length elements in all
   * @returns the memory
   */
  place?(places: ReadonlyMap<string, TensorPlace>, length: number): Promise<Float32Array>;
  /** Frees the tensors. Programs loaded against them can't run any more. */
  dispose(): Promise<void>;
}

/** Where a tensor lies in memory that an engine and its caller share. */
export interface TensorPlace {
  /** Its first element. */
  readonly offset: number;
  readonly shape: readonly number[];
}

/** Options of `write`. */
export interface WriteOptions {
  /** The caller doesn't need the tensors any more: an engine may take their memory instead of copying it. Default false. */
  readonly isGiven?: boolean;
}

/** Options of `load`. */
export interface LoadProgramOptions {
  /** Holds the parameters that change: each parameter found here is read from it at every run. */
  readonly state?: EngineState | undefined;
}

/** A program that an engine holds ready. Dispose it when done. */
export interface LoadedProgram {
  /**
   * One run. Runs of one program may be started at once; they are executed one after the other. The program's updates
   * are in the state when the run is done. A run that is refused changes nothing; one that fails while it computes may leave a
   * state that can't be used any more, and says so.
   *
   * @param inputs a tensor per program input, of its shape and dtype
   * @returns a tensor per program output
   * @throws EngineError when an input is missing, unknown or mis-shaped, or the runtime fails
   */
  run(inputs: NamedTensors): Promise<Record<string, Tensor>>;
  /** Frees the program's memory on the device. Running programs finish first. */
  dispose(): Promise<void>;
}

/**
 * Runs programs: ONNX Runtime's is what `createEngine` gives, others can be written. It owns sessions and memory until `dispose`.
 */
export interface Engine {
  /** For messages, as in "onnxruntime-node cpu". */
  readonly name: string;
  readonly device: Device;
  /** What programs without state compute in; float32 where it isn't said. */
  readonly dtype?: ComputeDType;
  /** The form in which `load` would run a program without state. Absent where programs run as they are. */
  rewrite?(program: Program): Program;
  /**
   * Bytes of memory that `program` takes in this process to be loaded without state and to run once, without the tensors that
   * cross to it. Absent where that isn't known.
   */
  predictMemory?(program: Program): number;
  /**
   * Whether the memory that is free now suffices for `program` in the form that is best for it. Where it doesn't, programs that aren't
   * needed should be disposed first. Absent where that isn't known.
   */
  fits?(program: Program): boolean;
  /** The same engine for programs that must take little memory: what its form leaves open is decided for memory. Absent: no other. */
  readonly lean?: Engine;
  /** This engine for parts of a program: they take the form that the whole would, where the engine chooses one by itself. */
  forPartsOf?(whole: Program): Engine;
  /**
   * Prepares a program. Parameters are constants from `weights`, except those that `options.state` holds.
   *
   * @param weights must hold every parameter that the state doesn't, in its shape; float types are converted
   * @throws CheckpointError when a parameter is missing or mis-shaped, EngineError when the runtime refuses the program or
   *   an update has no place in the state
   */
  load(program: Program, weights: Weights, options?: LoadProgramOptions): Promise<LoadedProgram>;
  /**
   * Starts a state with the tensors of `initial`, read one by one.
   *
   * @throws EngineError where the engine can't keep state
   */
  createState(initial: Weights): Promise<EngineState>;
  /** Disposes every program and ends the engine's threads. What is being loaded fails with an EngineError. */
  dispose(): Promise<void>;
}
