/**
 * The engine on TensorFlow.js: walks the graph, one kernel call per op, freeing each tensor after its last use.
 *
 * State lives in tfjs tensors (on the GPU under tfjs-node-gpu). Everything is computed in float32. tfjs has one current backend per
 * process, so engines of different backends don't mix.
 */
import type { Weights } from "@dcae/core/checkpoint";
import {
  CheckpointError,
  EngineError,
  errorMessage,
  inlineComposites,
  type OpName,
  type Program,
  shapeEqual,
  shapeToString,
  type Tensor,
  topologicalOrder,
  type Value,
} from "@dcae/core/graph";
import {
  closeAll,
  type Device,
  type Engine,
  type EngineState,
  failClosed,
  type LoadedProgram,
  type LoadProgramOptions,
  type NamedTensors,
} from "@dcae/core/runtime";
import { download, type Kernel, type Tf, type TfTensor, upload } from "./kernel.js";
import { elementwiseKernels } from "./kernels/elementwise.js";
import { layoutKernels } from "./kernels/layout.js";
import { quantizationKernels, spatialKernels } from "./kernels/spatial.js";
import { loadTfjs, type TfjsBackend } from "./load-tfjs.js";
import { createTfjsState, type TfjsState } from "./tfjs-state.js";

/** What needs no kernel: data, and composites, whose bodies are computed. */
type NoKernel = "input" | "parameter" | "constant" | "composite";

/** A row per op; a missing one doesn't compile. */
const kernels: { readonly [K in Exclude<OpName, NoKernel>]: Kernel<K> } = {
  ...elementwiseKernels,
  ...layoutKernels,
  ...spatialKernels,
  ...quantizationKernels,
};

const DEVICES: Readonly<Record<TfjsBackend, Device>> = {
  "tensorflow-gpu": "cuda",
  tensorflow: "cpu",
  wasm: "wasm",
  cpu: "cpu",
};

/** Options of `createTfjsEngine`. */
export interface TfjsEngineOptions {
  /** "auto" (default) takes the first that loads: tensorflow-gpu, tensorflow, wasm, cpu. */
  readonly backend?: TfjsBackend | "auto";
}

/**
 * Starts an engine on TensorFlow.js.
 *
 * @throws EngineError when no (or not the wanted) implementation loads; it says what to install
 * @example
 * ```ts no-run
 * import { trainAutoencoder, trainingRecipe } from "@dcae/train";
 * import { createTfjsEngine } from "@dcae/train/tfjs"; // with @tensorflow/tfjs-core and a backend beside it
 *
 * const engine = await createTfjsEngine({ backend: "wasm" });
 * await trainAutoencoder({ config: trainingRecipe("small-f32-scenes"), directory: "runs/tfjs", engine });
 * ```
 */
export async function createTfjsEngine({ backend = "auto" }: TfjsEngineOptions = {}): Promise<TfjsEngine> {
  const loaded = await loadTfjs(backend);
  return new TfjsEngine(loaded.tf, loaded.backend);
}

/** The engine on TensorFlow.js: runs the same programs as ONNX Runtime's. */
export class TfjsEngine implements Engine {
  readonly name: string;
  readonly device: Device;
  readonly #tf: Tf;
  readonly #programs = new Set<LoadedProgram>();
  readonly #states = new Map<EngineState, TfjsState>();
  #disposed = false;

  constructor(tf: Tf, backend: TfjsBackend) {
    this.#tf = tf;
    this.name = `tfjs ${backend}`;
    this.device = DEVICES[backend];
  }

  async createState(initial: Weights): Promise<EngineState> {
    this.#checkDisposed();
    const state = createTfjsState(this.#tf, this.name);
    this.#states.set(state, state);
    try {
      for (const entry of initial.entries.values()) {
        const tensor = await entry.read();
        this.#checkDisposed();
        await state.write({ [entry.name]: tensor });
      }
      this.#checkDisposed();
      return state;
    } catch (error) {
      this.#states.delete(state);
      return failClosed(error, [() => state.dispose()]);
    }
  }

  #checkDisposed(): void {
    if (this.#disposed) throw new EngineError(`${this.name}: the engine was disposed`);
  }

  async load(original: Program, weights: Weights, options: LoadProgramOptions = {}): Promise<LoadedProgram> {
    this.#checkDisposed();
    const program = inlineComposites(original);
    const held = options.state && this.#states.get(options.state);
    if (options.state !== undefined && held === undefined)
      throw new EngineError(`${this.name}: the state is another engine's`);
    checkUpdates(program, held, this.name);
    const constants = new Map<Value, TfTensor>();
    try {
      await readConstants(this.#tf, program, weights, held, constants);
      // What is disposed of meanwhile knows nothing of this program.
      this.#checkDisposed();
    } catch (error) {
      for (const tensor of constants.values()) tensor.dispose();
      throw error;
    }
    const loaded = createLoaded(this.#tf, this.name, program, constants, held, () => this.#programs.delete(loaded));
    this.#programs.add(loaded);
    return loaded;
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    await closeAll([...this.#programs, ...this.#states.keys()].map((held) => () => held.dispose()));
  }
}

function checkUpdates(program: Program, state: TfjsState | undefined, engine: string): void {
  for (const [name, { shape, dtype }] of program.updates) {
    const place = state?.specs.get(name);
    if (place !== undefined && shapeEqual(place.shape, shape) && place.dtype === dtype) continue;
    const found =
      place === undefined ? "no state holds it" : `the state holds [${place.shape.join(", ")}] ${place.dtype}`;
    throw new EngineError(
      `${engine}: "${program.name}" updates "${name}" as ${shapeToString(shape)} ${dtype}: ${found}`,
    );
  }
}

/** Fills `constants` with the parameters that the state doesn't hold, and the graph's constants. */
async function readConstants(
  tf: Tf,
  program: Program,
  weights: Weights,
  state: TfjsState | undefined,
  constants: Map<Value, TfTensor>,
): Promise<void> {
  for (const value of topologicalOrder([...program.outputs.values(), ...program.updates.values()])) {
    if (value.op === "constant") constants.set(value, tf.keep(upload(tf, value.attributes.tensor)));
    if (value.op !== "parameter" || state?.specs.has(value.attributes.name)) continue;
    const { name, shape, dtype } = value.attributes;
    const entry = weights.entries.get(name);
    if (entry === undefined) throw new CheckpointError(`${weights.source}: there is no tensor "${name}"`);
    if (entry.shape.join() !== shape.join()) {
      throw new CheckpointError(
        `${weights.source}: "${name}" is [${entry.shape.join(", ")}], the model needs [${shape.join(", ")}]`,
      );
    }
    constants.set(value, tf.keep(upload(tf, (await entry.read()).cast(dtype))));
  }
}

function checkInputs(program: Program, inputs: NamedTensors): void {
  for (const name of Object.keys(inputs)) {
    if (!program.inputs.has(name)) throw new EngineError(`"${program.name}" has no input "${name}"`);
  }
  for (const [name, { shape, dtype }] of program.inputs) {
    const tensor = inputs[name];
    if (tensor === undefined) throw new EngineError(`"${program.name}" needs an input "${name}"`);
    if (!shapeEqual(tensor.shape, shape) || tensor.dtype !== dtype) {
      throw new EngineError(
        `"${program.name}" needs "${name}" as ${shapeToString(shape)} ${dtype}, ` +
          `got ${shapeToString(tensor.shape)} ${tensor.dtype}`,
      );
    }
  }
}

function createLoaded(
  tf: Tf,
  engine: string,
  program: Program,
  constants: Map<Value, TfTensor>,
  state: TfjsState | undefined,
  onDispose: () => void,
): LoadedProgram {
  const wanted = [...program.outputs.values(), ...program.updates.values()];
  const order = topologicalOrder(wanted);
  const users = new Map<Value, number>();
  for (const value of [...wanted, ...order.flatMap(({ inputs }) => inputs)])
    users.set(value, (users.get(value) ?? 0) + 1);
  let disposed = false;

  /** Computes every value; tensors that only lead to others are freed on the way. */
  function evaluate(inputs: NamedTensors): Map<Value, TfTensor> {
    const left = new Map(users);
    const results = new Map<Value, TfTensor>();
    const borrowed = (value: Value) =>
      constants.get(value) ?? (value.op === "parameter" ? state?.tensor(value.attributes.name) : undefined);
    const release = (value: Value) => {
      const count = (left.get(value) as number) - 1;
      left.set(value, count);
      if (count === 0 && borrowed(value) === undefined) results.get(value)?.dispose();
    };
    for (const value of order) {
      const known = borrowed(value);
      if (known !== undefined) results.set(value, known);
      else if (value.op === "input") results.set(value, upload(tf, inputs[value.attributes.name] as Tensor));
      else {
        // The row fits the op by construction; TypeScript can't correlate the two unions.
        const kernel = kernels[value.op as Exclude<OpName, NoKernel>] as Kernel<OpName>;
        const operands = value.inputs.map((input) => results.get(input) as TfTensor);
        results.set(
          value,
          tf.tidy(() => {
            const result = kernel(tf, value as never, operands);
            return operands.includes(result) ? tf.clone(result) : result;
          }),
        );
      }
      value.inputs.forEach(release);
    }
    return results;
  }

  /** One run without a pause, so that scopes of other runs can't come in between: updates done, outputs to be read. */
  function compute(inputs: NamedTensors): [name: string, value: Value, tensor: TfTensor][] {
    tf.engine().startScope();
    try {
      const results = evaluate(inputs);
      state?.replace([...program.updates].map(([name, value]) => [name, results.get(value) as TfTensor] as const));
      return [...program.outputs].map(([name, value]) => [
        name,
        value,
        tf.keep(tf.clone(results.get(value) as TfTensor)),
      ]);
    } finally {
      tf.engine().endScope();
    }
  }

  return {
    async run(inputs) {
      if (disposed) throw new EngineError(`"${program.name}" was disposed`);
      checkInputs(program, inputs);
      state?.check();
      const outputs: Record<string, Tensor> = {};
      try {
        for (const [name, value, tensor] of compute(inputs)) {
          outputs[name] = await download(tensor, value.dtype);
          tensor.dispose();
        }
      } catch (error) {
        throw new EngineError(`${engine} failed to run "${program.name}": ${errorMessage(error)}`, { cause: error });
      }
      return outputs;
    },
    async dispose() {
      if (disposed) return;
      disposed = true;
      onDispose();
      for (const tensor of constants.values()) tensor.dispose();
    },
  };
}
