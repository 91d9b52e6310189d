/**
 * The engine on ONNX Runtime: lowers a program to ONNX, binds its weights, and runs it in a session.
 *
 * It is the same for onnxruntime-node and onnxruntime-web; a `SessionHost` says where sessions live.
 */
import type { Weights } from "../checkpoint/weights.js";
import { EngineError, errorMessage } from "../errors.js";
import { shapeEqual, shapeToString } from "../graph/dim.js";
import type { DType } from "../graph/dtype.js";
import type { Program } from "../graph/program.js";
import type { CpuCosts } from "../graph/rewrite/cpu-costs.js";
import type { Tensor } from "../graph/tensor.js";
import { lowerProgram, updateName } from "../onnx/lower-program.js";
import { onnxForm } from "../onnx/lowerings.js";
import { encodeModel } from "../onnx/model-proto.js";
import { bindWeights, type LocateFile } from "./bind-weights.js";
import { closeAll, failClosed } from "./close-all.js";
import {
  type Compiled,
  compile,
  dtypeOfForm,
  type Form,
  fitsMemory,
  leanForm,
  type Machine,
  memoryUnknown,
  PLAIN,
  partsForm,
  STATEFUL,
} from "./compile.js";
import type {
  ComputeDType,
  Device,
  Engine,
  EngineState,
  LoadedProgram,
  LoadProgramOptions,
  NamedTensors,
} from "./engine.js";
import { inPlaceUpdates } from "./in-place-updates.js";
import { probeBlockSize, probeExactInt8 } from "./probes.js";
import { type ConstantFiles, type Evaluate, prepareConstants } from "./program-constants.js";
import type { Session, SessionHost, SessionOptions, SessionState, StateBinding } from "./session-host.js";

/** What an `OnnxEngine` is made with; `createEngine` chooses these. */
export interface OnnxEngineOptions {
  readonly device: Device;
  /** Of programs without state (default: as they are written); the stateful one: of those with. */
  readonly form?: Form | undefined;
  readonly threads?: number | undefined;
  /** Lets models refer to weight files; needs a host that reads files. */
  readonly locate?: LocateFile | undefined;
  /** Where what a program computes from its weights lies; without it, or where it gives none, the runtime computes it in memory. */
  readonly constants?: ((compiled: Compiled) => ConstantFiles | undefined) | undefined;
  /** Of the CPU, where it is known. */
  readonly costs?: CpuCosts | undefined;
  /** Bytes that this process may still take, where it is known. */
  readonly freeMemory?: (() => number) | undefined;
}

/** The engine on ONNX Runtime, in Node and in browsers. */
export class OnnxEngine implements Engine {
  readonly name: string;
  readonly device: Device;
  readonly dtype: ComputeDType;
  readonly #host: SessionHost;
  readonly #options: OnnxEngineOptions;
  /** Of programs without state, and of those with. */
  readonly #form: Form;
  readonly #stateful: Form;
  readonly #programs = new Set<LoadedProgram>();
  readonly #states = new WeakMap<EngineState, OnnxState>();
  #block: Promise<number | undefined> | undefined;
  #exactInt8: Promise<boolean> | undefined;
  #disposed = false;

  constructor(host: SessionHost, options: OnnxEngineOptions) {
    this.#host = host;
    this.#options = options;
    this.device = options.device;
    const { form = PLAIN } = options;
    this.#form = form.kind === "stateful" ? PLAIN : form;
    this.#stateful = form.kind === "stateful" ? form : STATEFUL;
    this.dtype = dtypeOfForm(form);
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

  load(original: Program, weights: Weights, options: LoadProgramOptions = {}): Promise<LoadedProgram> {
    return this.#load(this.#form, original, weights, options);
  }

  async #load(
    form: Form,
    original: Program,
    weights: Weights,
    options: LoadProgramOptions = {},
  ): Promise<LoadedProgram> {
    this.#checkDisposed();
    const binding = this.#bindState(original, options.state);
    if (binding !== undefined) {
      const compiled = this.#compile(original, this.#stateful);
      return this.#start(original, await this.#session(compiled, weights, { binding }));
    }
    const compiled = this.#compile(original, form);
    const files = this.#options.constants?.(compiled);
    const session =
      files === undefined
        ? await this.#session(compiled, weights)
        : await this.#withConstants(compiled, weights, files);
    return this.#start(original, session);
  }

  #compile(original: Program, form: Form, machine: Machine = this.#machine()): Compiled {
    return compile(original, form, this.device, machine);
  }

  #machine(): Machine {
    return { costs: this.#options.costs, freeMemory: this.#options.freeMemory?.() };
  }

  fits(original: Program): boolean {
    const machine = this.#machine();
    if (machine.freeMemory === undefined || memoryUnknown(this.device) !== undefined) return true;
    const wanted = this.#compile(original, this.#form, { ...machine, freeMemory: undefined });
    return fitsMemory(wanted.predictMemory(), machine);
  }

  get lean(): Engine {
    return this.#inForm(leanForm(this.#form));
  }

  forPartsOf(whole: Program): Engine {
    return this.#inForm(partsForm(this.#form, this.#compile(whole, this.#form)));
  }

  #inForm(form: Form): Engine {
    return {
      name: this.name,
      device: this.device,
      dtype: this.dtype,
      load: (program, weights, options) => this.#load(form, program, weights, options),
      rewrite: (program) => this.#compile(program, form).program,
      predictMemory: (program) => this.#predictMemory(form, program),
      createState: (initial) => this.createState(initial),
      dispose: () => this.dispose(),
    };
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
  async #withConstants(compiled: Compiled, weights: Weights, files: ConstantFiles): Promise<Session> {
    let session: Session | undefined;
    try {
      const evaluate = this.#evaluate(compiled);
      const prepared = await prepareConstants(compiled.program, weights, evaluate, files);
      const opened = await this.#session({ ...compiled, program: prepared.program }, prepared.weights);
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

  /** Computes parts of a program that have no inputs. */
  #evaluate(compiled: Compiled): Evaluate {
    const withSession = async <T>(
      program: Program,
      weights: Weights,
      use: Partial<SessionOptions>,
      work: (session: Session) => Promise<T>,
      given?: ReadonlySet<string>,
    ): Promise<T> => {
      const session = await this.#session({ ...compiled, program }, weights, use, given);
      try {
        return await work(session);
      } finally {
        await session.release();
      }
    };
    const once = { arena: false, planMemory: true, unoptimized: true };
    return {
      toTensors: (program, weights) =>
        withSession(program, weights, once, async (session) => Object.fromEntries(await session.run(new Map()))),
      toFiles: (program, weights, runs) =>
        withSession(
          program,
          weights,
          runs.length > 1 ? { arena: true, planMemory: false, unoptimized: true } : once,
          async (session) => {
            if (session.runInFiles === undefined) throw new EngineError(`${this.name} can't write files`);
            try {
              await session.runInFiles(runs);
            } catch (error) {
              // What files do is known to those whose files they are.
              if (error instanceof Error && "code" in error) throw error;
              throw new EngineError(`${this.name} failed to run "${program.name}": ${errorMessage(error)}`, {
                cause: error,
              });
            }
          },
          new Set(runs[0]?.inputs.keys()),
        ),
    };
  }

  /**
   * @param use what this session is besides what its form says
   * @param given the parameters that are given at each run
   */
  async #session(
    { program, session, blocked }: Compiled,
    weights: Weights,
    use: Partial<SessionOptions> = {},
    given: ReadonlySet<string> = new Set(use.binding?.inputs),
  ): Promise<Session> {
    const locate = this.#host.readsFiles ? this.#options.locate : undefined;
    const { bindings, folder, buffers } = await bindWeights(program, weights, locate, given);
    const block = blocked ? await this.#blockSize() : undefined;
    const lowered = lowerProgram(program, (spec) => bindings.get(spec.name) ?? "input", {
      block,
      // Of other devices it isn't known whether it helps.
      freeEarly: this.device === "cpu" && use.binding === undefined && program.inputs.size > 0,
    });
    const hasInt8 = lowered.nodes.some(({ opType }) => opType === "QLinearConv");
    try {
      return await this.#host.createSession(encodeModel(lowered), {
        device: this.device,
        threads: this.#options.threads,
        externalFolder: folder,
        externalBuffers: buffers,
        exactInt8: hasInt8 && !(await this.#computesInt8Exactly()),
        ...session,
        ...use,
      });
    } catch (error) {
      throw new EngineError(`${this.name} can't load "${program.name}": ${errorMessage(error)}`, { cause: error });
    }
  }

  /** The layout for weights that change; the runtime sees to constant ones itself. */
  #blockSize(): Promise<number | undefined> {
    this.#block ??= probeBlockSize(this.#host);
    return this.#block;
  }

  #computesInt8Exactly(): Promise<boolean> {
    if (this.#options.device !== "cpu") return Promise.resolve(true);
    this.#exactInt8 ??= probeExactInt8(this.#host);
    return this.#exactInt8;
  }

  rewrite(original: Program): Program {
    return this.#compile(original, this.#form).program;
  }

  /** @throws EngineError where it isn't known: on other devices than the CPU, whose memory is another matter */
  predictMemory(original: Program): number {
    return this.#predictMemory(this.#form, original);
  }

  #predictMemory(form: Form, original: Program): number {
    try {
      return this.#compile(original, form).predictMemory();
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      throw new EngineError(`${this.name}: ${error.message}`, error.hint === undefined ? {} : { hint: error.hint });
    }
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
    if (this.dtype !== "float32") {
      throw new EngineError(`${this.name}: state needs an engine with dtype float32, this one has ${this.dtype}`);
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
    const inPlace = inPlaceUpdates(onnxForm(program));
    return { state: state.session, inputs: inputs.map(({ name }) => name), outputs, inPlace };
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

interface OnnxState extends EngineState {
  /** The tensors themselves, for sessions to bind to. */
  readonly session: SessionState;
}

/** Wraps a host's state; `engine` is named in messages. */
function createOnnxState(session: SessionState, engine: string): OnnxState {
  const specs = new Map<string, { readonly shape: readonly number[]; readonly dtype: DType }>();

  async function readAll(names: Iterable<string> = specs.keys()): Promise<Map<string, Tensor>> {
    const list = [...names];
    for (const name of list) {
      if (!specs.has(name)) throw new EngineError(`${engine}: the state holds no "${name}"`);
    }
    return session.read(list);
  }

  return {
    session,
    specs,
    async write(tensors, { isGiven = false } = {}) {
      const checked = new Map<string, Tensor>();
      for (const [name, tensor] of Object.entries(tensors)) {
        const known = specs.get(name);
        if (known !== undefined && known.shape.join() !== tensor.shape.join()) {
          throw new EngineError(
            `${engine}: the state holds "${name}" as [${known.shape.join(", ")}], got [${tensor.shape.join(", ")}]`,
          );
        }
        checked.set(name, known === undefined ? tensor : tensor.cast(known.dtype));
      }
      await session.write(checked, isGiven);
      for (const [name, { shape, dtype }] of checked) specs.set(name, { shape, dtype });
    },
    async read(name) {
      return (await readAll([name])).get(name) as Tensor;
    },
    readAll,
    async place(places, length) {
      for (const [name, { shape }] of places) {
        const { dtype = "float32", shape: known = shape } = specs.get(name) ?? {};
        if (dtype === "float32" && known.join() === shape.join()) continue;
        throw new EngineError(
          `${engine}: the state holds "${name}" as [${known.join(", ")}] ${dtype}, not [${shape.join(", ")}] float32`,
        );
      }
      const memory = new Float32Array(new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT));
      await session.place(places, memory);
      for (const [name, { shape }] of places) specs.set(name, { shape, dtype: "float32" });
      return memory;
    },
    dispose: () => session.release(),
  };
}
