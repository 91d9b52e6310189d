/** Sessions of onnxruntime-node in a worker thread, so that neither loading nor running blocks the caller's event loop. */
import { Worker } from "node:worker_threads";
import { EngineError } from "../errors.js";
import { quietRuntime } from "./quiet-runtime.node.js";
import {
  fromWire,
  type SessionHost,
  type SessionOptions,
  type SessionState,
  toWire,
  type WireTensor,
} from "./session-host.js";

/** What to do where the native part of ONNX Runtime lacks or doesn't load. */
const REINSTALL =
  "Reinstall onnxruntime-node for this platform: ONNXRUNTIME_NODE_INSTALL=skip npm install --force onnxruntime-node; `dcae doctor` says what runs here.";

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

type Request = "create" | "run" | "release" | "createState" | "writeState" | "readState" | "releaseState";

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** Options for onnxruntime-node's `InferenceSession.create`. */
function runtimeOptions(session: SessionOptions): object {
  const { device, threads, externalFolder, externalBuffers } = session;
  const { arena = false, planMemory = true, packWeights = true, exactInt8 = false, runsOnce = false } = session;
  return {
    executionProviders: [device],
    // The arena keeps the memory of every past peak: a third more for a decode at 512x512. Plain programs gain no speed that
    // could be measured; rewritten ones, whose operators are short and move much memory, gain up to half.
    enableCpuMemArena: arena,
    enableMemPattern: planMemory,
    graphOptimizationLevel: runsOnce ? "disabled" : packWeights ? "all" : "extended",
    // Errors come back as exceptions; warnings (a constant that can't be folded) would only clutter stderr.
    logSeverityLevel: 3,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    externalData: [...externalBuffers].map(([path, data]) => ({ path, data })),
    extra: {
      session: {
        ...(exactInt8 ? { x64quantprecision: "1" } : {}),
        // A model given as bytes has no folder of its own to resolve external data against.
        ...(externalFolder === undefined ? {} : { model_external_initializers_file_folder_path: externalFolder }),
      },
    },
  };
}

/** A worker with the requests that it hasn't answered. */
interface Connection {
  request(kind: Request, body: object, transfer?: readonly ArrayBuffer[]): Promise<unknown>;
  /** Why it takes no requests any more. */
  readonly ended: Error | undefined;
  end(reason: Error): Promise<void>;
}

function connect(script: URL): Connection {
  const pending = new Map<number, Pending>();
  const worker = new Worker(script);
  let nextId = 0;
  let ended: Error | undefined;

  /** An error is followed by the end of the worker: what was said first counts. */
  function fail(reason: Error): void {
    ended ??= reason;
    for (const { reject } of pending.values()) reject(ended);
    pending.clear();
  }

  worker.on("message", ({ id, result, error }: Answer) => {
    const request = pending.get(id);
    pending.delete(id);
    if (pending.size === 0) worker.unref();
    if (error === undefined) request?.resolve(result);
    else request?.reject(new Error(error));
  });
  worker.on("error", (error) =>
    fail(
      new EngineError(`the ONNX Runtime worker failed: ${error.message}`, {
        hint: REINSTALL,
        cause: error,
      }),
    ),
  );
  worker.on("exit", (code) => fail(new EngineError(`the ONNX Runtime worker ended with exit code ${code}`)));

  return {
    get ended() {
      return ended;
    },
    request(kind, body, transfer = []) {
      if (ended !== undefined) return Promise.reject(ended);
      const id = nextId++;
      return new Promise((resolve, reject) => {
        pending.set(id, { resolve, reject });
        // Referenced only while there is work, so that a finished program exits by itself.
        worker.ref();
        worker.postMessage({ id, kind, ...body }, transfer);
      });
    },
    async end(reason) {
      fail(reason);
      // Who waits for the end must hear of it: an idle worker doesn't keep its creator's event loop alive.
      worker.ref();
      await worker.terminate();
    },
  };
}

const WORKER = new URL("./onnx-worker.mjs", import.meta.url);

/**
 * Starts the worker at the first session, and another one where it ended; sessions and states of the old one are lost. It doesn't
 * keep the process alive while it is idle.
 *
 * @param script what the worker runs, for tests
 */
export function createWorkerSessionHost(script = WORKER): SessionHost {
  let connection: Connection | undefined;
  let closed = false;
  let nextSession = 0;
  let nextState = 0;
  const stateIds = new WeakMap<SessionState, number>();
  const quiet = quietRuntime();
  // Whoever asks for a session hears of it.
  quiet?.catch(() => undefined);

  function connected(): Connection {
    if (closed) throw new EngineError("the engine was disposed");
    if (connection === undefined || connection.ended !== undefined) connection = connect(script);
    return connection;
  }

  return {
    name: "onnxruntime-node",
    readsFiles: true,
    async createSession(model, options) {
      if (quiet !== undefined) await quiet;
      const home = connected();
      const session = nextSession++;
      const { binding } = options;
      const body = {
        session,
        model,
        options: runtimeOptions(options),
        binding: binding && {
          state: stateIds.get(binding.state),
          inputs: binding.inputs,
          outputs: [...binding.outputs],
        },
      };
      // Moved, not copied: converted weights can be gigabytes.
      const buffers = [...options.externalBuffers.values()].map(({ buffer }) => buffer as ArrayBuffer);
      if (model.byteLength === model.buffer.byteLength) buffers.push(model.buffer as ArrayBuffer);
      await home.request("create", body, buffers);
      return {
        async run(inputs) {
          const wire = [...inputs].map(([name, tensor]) => toWire(name, tensor));
          const outputs = (await home.request("run", { session, inputs: wire })) as WireTensor[];
          return new Map(outputs.map((output) => [output.name, fromWire(output)]));
        },
        async release() {
          if (home.ended === undefined) await home.request("release", { session });
        },
      };
    },
    async createState() {
      if (quiet !== undefined) await quiet;
      const home = connected();
      const id = nextState++;
      await home.request("createState", { state: id });
      const state: SessionState = {
        async write(tensors) {
          await home.request("writeState", {
            state: id,
            tensors: [...tensors].map(([name, tensor]) => toWire(name, tensor)),
          });
        },
        async read(names) {
          const wire = (await home.request("readState", { state: id, names })) as WireTensor[];
          return new Map(wire.map((tensor) => [tensor.name, fromWire(tensor)]));
        },
        async release() {
          if (home.ended === undefined) await home.request("releaseState", { state: id });
        },
      };
      stateIds.set(state, id);
      return state;
    },
    async close() {
      closed = true;
      // Whoever waits for a session or a run learns that there will be none.
      await connection?.end(new EngineError("the engine was disposed"));
    },
  };
}
