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
import type { Tensor } from "../graph/tensor.js";
import { lowerProgram } from "../onnx/lower-program.js";
import { encodeModel } from "../onnx/model-proto.js";
import { bindWeights, type LocateFile } from "./bind-weights.js";
import type { ComputeDType, Device, Engine, LoadedProgram, NamedTensors } from "./engine.js";
import type { Session, SessionHost } from "./session-host.js";

export interface OnnxEngineOptions {
  readonly device: Device;
  readonly dtype?: ComputeDType | undefined;
  readonly threads?: number | undefined;
  /** Lets models refer to weight files; needs a host that reads files. */
  readonly locate?: LocateFile | undefined;
}

export class OnnxEngine implements Engine {
  readonly name: string;
  readonly device: Device;
  readonly #host: SessionHost;
  readonly #options: OnnxEngineOptions;
  readonly #programs = new Set<LoadedProgram>();
  #disposed = false;

  constructor(host: SessionHost, options: OnnxEngineOptions) {
    this.#host = host;
    this.#options = options;
    this.device = options.device;
    this.name = `${host.name} ${options.device}`;
  }

  async load(original: Program, weights: Weights): Promise<LoadedProgram> {
    if (this.#disposed) throw new EngineError(`${this.name}: the engine was disposed`);
    if (original.updates.size > 0) {
      throw new EngineError(`${this.name}: "${original.name}" updates state, which inference sessions don't hold`);
    }
    const program = this.#options.dtype === "float16" ? toHalfPrecision(original) : original;
    const locate = this.#host.readsFiles ? this.#options.locate : undefined;
    const { bindings, folder, buffers } = await bindWeights(program, weights, locate);
    // Every parameter of the program was bound just before.
    const model = encodeModel(lowerProgram(program, (spec) => bindings.get(spec.name) ?? "input"));
    const session = await this.#create(program, model, folder, buffers);
    const loaded = loadedProgram(original, session, this.name, () => this.#programs.delete(loaded));
    this.#programs.add(loaded);
    return loaded;
  }

  async #create(
    program: Program,
    model: Uint8Array,
    externalFolder: string | undefined,
    externalBuffers: ReadonlyMap<string, Uint8Array>,
  ): Promise<Session> {
    const { device, threads } = this.#options;
    try {
      return await this.#host.createSession(model, { device, threads, externalFolder, externalBuffers });
    } catch (error) {
      throw new EngineError(`${this.name} can't load "${program.name}": ${errorMessage(error)}`, { cause: error });
    }
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    await Promise.all([...this.#programs].map((program) => program.dispose()));
    await this.#host.close();
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
