/** Sessions of onnxruntime-node in a worker thread, so that neither loading nor running blocks the caller's event loop. */
import { Worker } from "node:worker_threads";
import { EngineError } from "../errors.js";
import { quietRuntime } from "./quiet-runtime.node.js";
import type { SessionHost, SessionOptions, SessionState } from "./session-host.js";
import { fromWire, toWire, type WireTensor } from "./wire-tensor.js";

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

/** Starts the worker at the first session. It doesn't keep the process alive while it is idle. */
export function createWorkerSessionHost(): SessionHost {
  const pending = new Map<number, Pending>();
  let worker: Worker | undefined;
  let nextId = 0;
  let nextSession = 0;
  let nextState = 0;
  const stateIds = new WeakMap<SessionState, number>();
  const quiet = quietRuntime();
  // Whoever asks for a session hears of it.
  quiet?.catch(() => undefined);

  function fail(error: Error): void {
    for (const { reject } of pending.values()) reject(error);
    pending.clear();
    worker = undefined;
  }

  function start(): Worker {
    const started = new Worker(new URL("./onnx-worker.mjs", import.meta.url));
    started.on("message", ({ id, result, error }: Answer) => {
      const request = pending.get(id);
      pending.delete(id);
      if (pending.size === 0) started.unref();
      if (error === undefined) request?.resolve(result);
      else request?.reject(new Error(error));
    });
    started.on("error", (error) =>
      fail(
        new EngineError(`the ONNX Runtime worker failed: ${error.message}`, {
          hint: "Run `dcae doctor` to see whether onnxruntime-node loads here.",
          cause: error,
        }),
      ),
    );
    started.on("exit", (code) => fail(new EngineError(`the ONNX Runtime worker ended with exit code ${code}`)));
    return started;
  }

  function request(kind: Request, body: object, transfer: readonly ArrayBuffer[] = []): Promise<unknown> {
    worker ??= start();
    const target = worker;
    const id = nextId++;
    return new Promise((resolve, reject) => {
      pending.set(id, { resolve, reject });
      // Referenced only while there is work, so that a finished program exits by itself.
      target.ref();
      target.postMessage({ id, kind, ...body }, transfer);
    });
  }

  return {
    name: "onnxruntime-node",
    readsFiles: true,
    async createSession(model, options) {
      if (quiet !== undefined) await quiet;
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
      await request("create", body, buffers);
      return {
        async run(inputs) {
          const wire = [...inputs].map(([name, tensor]) => toWire(name, tensor));
          const outputs = (await request("run", { session, inputs: wire })) as WireTensor[];
          return new Map(outputs.map((output) => [output.name, fromWire(output)]));
        },
        async release() {
          if (worker !== undefined) await request("release", { session });
        },
      };
    },
    async createState() {
      if (quiet !== undefined) await quiet;
      const id = nextState++;
      await request("createState", { state: id });
      const state: SessionState = {
        async write(tensors) {
          await request("writeState", {
            state: id,
            tensors: [...tensors].map(([name, tensor]) => toWire(name, tensor)),
          });
        },
        async read(names) {
          const wire = (await request("readState", { state: id, names })) as WireTensor[];
          return new Map(wire.map((tensor) => [tensor.name, fromWire(tensor)]));
        },
        async release() {
          if (worker !== undefined) await request("releaseState", { state: id });
        },
      };
      stateIds.set(state, id);
      return state;
    },
    async close() {
      const target = worker;
      worker = undefined;
      target?.removeAllListeners("exit");
      await target?.terminate();
    },
  };
}
