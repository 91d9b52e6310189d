/**
 * The engine on ONNX Runtime: lowers a program to ONNX, binds its weights, and runs it in a session.
 *
 * It is the same for onnxruntime-node and onnxruntime-web; a `SessionHost` says where sessions live.
 */
import type { Weights } from "../checkpoint/weights.js";
import { EngineError, errorMessage } from "../errors.js";
import { shapeEqual, shapeToString } from "../graph/dim.js";
import type { Program } from "../graph/program.js";
import { toHalfPrecision } from "../graph/rewrite/half-precision.js";
import { toInt8 } from "../graph/rewrite/int8.js";
import { optimize } from "../graph/rewrite/optimize.js";
import type { ActivationRanges } from "../graph/rewrite/quantize.js";
import type { Tensor } from "../graph/tensor.js";
import { onnxForm } from "../onnx/lower-composite.js";
import { lowerProgram, updateName } from "../onnx/lower-program.js";
import { encodeModel } from "../onnx/model-proto.js";
import { bindWeights, type LocateFile } from "./bind-weights.js";
import { closeAll, failClosed } from "./close-all.js";
import type { ComputeDType, Device, Engine, EngineState, LoadedProgram, LoadOptions, NamedTensors } from "./engine.js";
import { createOnnxState, type OnnxState } from "./onnx-state.js";
import { predictMemory } from "./predict-memory.js";
import { probeBlockSize } from "./probe-block-size.js";
import { probeExactInt8 } from "./probe-int8.js";
import { type ConstantFiles, prepareConstants } from "./program-constants.js";
import type { Session, SessionHost, SessionOptions, StateBinding } from "./session-host.js";

export interface OnnxEngineOptions {
  readonly device: Device;
  readonly dtype?: ComputeDType | undefined;
  /** See `EngineOptions`; with dtype int8. */
  readonly activationRanges?: ActivationRanges | undefined;
  readonly threads?: number | undefined;
  /** See `EngineOptions`. */
  readonly optimize?: boolean | undefined;
  /** See `EngineOptions`. */
  readonly blocked?: boolean | undefined;
  /** See `EngineOptions`. */
  readonly packWeights?: boolean | undefined;
  /** Lets models refer to weight files; needs a host that reads files. */
  readonly locate?: LocateFile | undefined;
  /** Where what a program computes from its weights lies; without it, the runtime computes it in memory. */
  readonly constants?: (() => ConstantFiles) | undefined;
}

/** What a session is for. */
interface SessionUse {
  readonly binding?: StateBinding | undefined;
  readonly rewritten?: boolean;
  /** See `SessionOptions`. */
  readonly runsOnce?: boolean;
}

export class OnnxEngine implements Engine {
  readonly name: string;
  readonly device: Device;
  readonly dtype: ComputeDType;
  readonly #host: SessionHost;
  readonly #options: OnnxEngineOptions;
  readonly #programs = new Set<LoadedProgram>();
  readonly #states = new WeakMap<EngineState, OnnxState>();
  #block: Promise<number | undefined> | undefined;
  #exactInt8: Promise<boolean> | undefined;
  #disposed = false;

  constructor(host: SessionHost, options: OnnxEngineOptions) {
    this.#host = host;
    this.#options = options;
    this.device = options.device;
    this.dtype = options.dtype ?? "float32";
    this.name = `${host.name} ${options.device}`;
  }

  async createState(initial: Weights): Promise<EngineState> {
    this.#checkDisposed();
    if (this.#host.createState === undefined) throw new EngineError(`${this.name} can't keep state between runs`);
    const state = createOnnxState(await this.#host.createState(), this.name);
    this.#states.set(state, state);
    for (const entry of initial.entries.values()) await state.write({ [entry.name]: await entry.read() });
    return state;
  }

  async load(original: Program, weights: Weights, options: LoadOptions = {}): Promise<LoadedProgram> {
    this.#checkDisposed();
    const binding = this.#bindState(original, options.state);
    // Weights in a state change between runs, so what is computed from them can't be computed once.
    if (binding !== undefined) return this.#start(original, await this.#session(original, weights, { binding }));
    const program = this.rewrite(original);
    const files = this.#options.constants?.();
    const rewritten = this.#optimizes;
    const session =
      files === undefined
        ? await this.#session(program, weights, { rewritten })
        : await this.#withConstants(program, weights, files, rewritten);
    return this.#start(original, session);
  }

  #checkDisposed(): void {
    if (this.#disposed) throw new EngineError(`${this.name}: the engine was disposed`);
  }

  #start(program: Program, session: Session): LoadedProgram {
    const loaded = loadedProgram(program, session, this.name, () => this.#programs.delete(loaded));
    this.#programs.add(loaded);
    return loaded;
  }

  /** A session of the program whose constants lie in files. */
  async #withConstants(program: Program, weights: Weights, files: ConstantFiles, rewritten: boolean): Promise<Session> {
    let session: Session | undefined;
    try {
      const prepared = await prepareConstants(program, weights, (part, values) => this.#evaluate(part, values), files);
      const opened = await this.#session(prepared.program, prepared.weights, { rewritten });
      session = opened;
      await files.loaded();
      return {
        run: (inputs) => opened.run(inputs),
        async release() {
          await closeAll([() => opened.release(), () => files.close()]);
        },
      };
    } catch (error) {
      return failClosed(error, [() => session?.release(), () => files.close()]);
    }
  }

  /** The outputs of a program without inputs. */
  async #evaluate(program: Program, weights: Weights): Promise<Record<string, Tensor>> {
    const session = await this.#session(program, weights, { runsOnce: true });
    try {
      return Object.fromEntries(await session.run(new Map()));
    } finally {
      await session.release();
    }
  }

  /** Lowers a program as it is. */
  async #session(program: Program, weights: Weights, use: SessionUse): Promise<Session> {
    const { binding, rewritten = false, runsOnce = false } = use;
    const locate = this.#host.readsFiles ? this.#options.locate : undefined;
    const { bindings, folder, buffers } = await bindWeights(program, weights, locate, new Set(binding?.inputs));
    const block = binding === undefined ? undefined : await this.#blockSize();
    // What wasn't bound just before lies in the state.
    const lowered = lowerProgram(program, (spec) => bindings.get(spec.name) ?? "input", { block });
    const model = encodeModel(lowered);
    const hasInt8 = lowered.nodes.some(({ opType }) => opType === "QLinearConv");
    const { packWeights = true } = this.#options;
    // A program with state runs thousands of times: mapping its memory anew at each run took a sixth of a training step.
    // Rewritten programs have many short operators that move much memory. Pieces that are kept, without a planned block
    // beside them, are as fast as both and take the memory of neither.
    const arena = binding !== undefined || (rewritten && this.#optimizes);
    return this.#create(program, model, {
      externalFolder: folder,
      externalBuffers: buffers,
      binding,
      arena,
      planMemory: !arena,
      exactInt8: hasInt8 && !(await this.#computesInt8Exactly()),
      // Programs that are to be fast take the copies; depthwise convolutions need several times as long without.
      packWeights: binding !== undefined || this.#optimizes || packWeights,
      runsOnce,
    });
  }

  /** The layout for weights that change; the runtime sees to constant ones itself. */
  #blockSize(): Promise<number | undefined> {
    const { device, blocked = true } = this.#options;
    if (device !== "cpu" || !blocked) return Promise.resolve(undefined);
    this.#block ??= probeBlockSize(this.#host);
    return this.#block;
  }

  #computesInt8Exactly(): Promise<boolean> {
    if (this.#options.device !== "cpu") return Promise.resolve(true);
    this.#exactInt8 ??= probeExactInt8(this.#host);
    return this.#exactInt8;
  }

  get #optimizes(): boolean {
    return this.#options.optimize ?? false;
  }

  rewrite(original: Program): Program {
    const { dtype, activationRanges } = this.#options;
    if (dtype === "int8") return onnxForm(toInt8(original, activationRanges ?? {}));
    const program = dtype === "float16" ? toHalfPrecision(original) : original;
    return onnxForm(this.#optimizes ? optimize(program) : program);
  }

  /** @throws EngineError on other devices than the CPU, whose memory is another matter */
  predictMemory(original: Program): number {
    const { device, packWeights = true, dtype } = this.#options;
    if (dtype === "int8") {
      throw new EngineError(`${this.name}: how much memory a program takes isn't known for int8`, {
        hint: "Use float32, or leave out the limit.",
      });
    }
    if (device !== "cpu") {
      throw new EngineError(`${this.name}: how much memory a program takes is only known for the CPU`, {
        hint: 'Use the device "cpu", or leave out the limit.',
      });
    }
    const plain = packWeights ? "packed" : "mapped";
    return predictMemory(this.rewrite(original), this.#optimizes ? "rewritten" : plain);
  }

  /** Which parameters of `program` the state holds, and where its updates go. */
  #bindState(program: Program, held: EngineState | undefined): StateBinding | undefined {
    const state = held && this.#states.get(held);
    if (held !== undefined && state === undefined) throw new EngineError(`${this.name}: the state is another engine's`);
    for (const [name, value] of program.updates) {
      const place = state?.specs.get(name);
      if (place !== undefined && shapeEqual(place.shape, value.shape) && place.dtype === value.dtype) continue;
      if (place !== undefined) {
        throw new EngineError(
          `${this.name}: "${program.name}" updates "${name}" with ${shapeToString(value.shape)} ${value.dtype}, ` +
            `the state holds [${place.shape.join(", ")}] ${place.dtype}`,
        );
      }
      throw new EngineError(`${this.name}: "${program.name}" updates "${name}", which no state holds`, {
        hint: "Load it with a state that has this tensor: engine.load(program, weights, { state }).",
      });
    }
    if (state === undefined) return undefined;
    const { dtype = "float32" } = this.#options;
    if (dtype !== "float32") {
      throw new EngineError(`${this.name}: state needs an engine with dtype float32, this one has ${dtype}`);
    }
    const inputs = [...program.parameters.values()].filter(({ name }) => state.specs.has(name));
    for (const { name, shape, dtype } of inputs) {
      const found = state.specs.get(name);
      if (found?.shape.join() === shape.join() && found.dtype === dtype) continue;
      throw new EngineError(
        `${this.name}: the state holds "${name}" as [${found?.shape.join(", ")}] ${found?.dtype}, ` +
          `"${program.name}" needs [${shape.join(", ")}] ${dtype}`,
      );
    }
    const outputs = new Map([...program.updates.keys()].map((name) => [updateName(name), name]));
    return { state: state.session, inputs: inputs.map(({ name }) => name), outputs };
  }

  async #create(
    program: Program,
    model: Uint8Array,
    options: Omit<SessionOptions, "device" | "threads">,
  ): Promise<Session> {
    const { device, threads } = this.#options;
    try {
      return await this.#host.createSession(model, { device, threads, ...options });
    } catch (error) {
      throw new EngineError(`${this.name} can't load "${program.name}": ${errorMessage(error)}`, { cause: error });
    }
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    const programs = [...this.#programs].map((program) => program.dispose());
    await closeAll([...programs.map((done) => () => done), () => this.#host.close()]);
  }
}

function loadedProgram(program: Program, session: Session, engine: string, onDispose: () => void): LoadedProgram {
  let last: Promise<unknown> = Promise.resolve();
  let disposed: Promise<void> | undefined;

  function check(inputs: NamedTensors): Map<string, Tensor> {
    for (const name of Object.keys(inputs)) {
      if (!program.inputs.has(name)) throw new EngineError(`"${program.name}" has no input "${name}"`);
    }
    const checked = new Map<string, Tensor>();
    for (const [name, { shape, dtype }] of program.inputs) {
      const tensor = inputs[name];
      if (tensor === undefined) throw new EngineError(`"${program.name}" needs an input "${name}"`);
      if (!shapeEqual(tensor.shape, shape) || tensor.dtype !== dtype) {
        throw new EngineError(
          `"${program.name}" needs "${name}" as ${shapeToString(shape)} ${dtype}, ` +
            `got ${shapeToString(tensor.shape)} ${tensor.dtype}`,
        );
      }
      checked.set(name, tensor);
    }
    return checked;
  }

  async function runSession(inputs: Map<string, Tensor>): Promise<Record<string, Tensor>> {
    try {
      return Object.fromEntries(await session.run(inputs));
    } catch (error) {
      throw new EngineError(`${engine} failed to run "${program.name}": ${errorMessage(error)}`, { cause: error });
    }
  }

  return {
    async run(inputs) {
      if (disposed !== undefined) throw new EngineError(`"${program.name}" was disposed`);
      const checked = check(inputs);
      const result = last.then(() => runSession(checked));
      last = result.catch(() => undefined);
      return result;
    },
    dispose() {
      disposed ??= last.then(async () => {
        onDispose();
        await session.release();
      });
      return disposed;
    },
  };
}
