/** Sessions of onnxruntime-node in a worker thread, so that neither loading nor running blocks the caller's event loop. */
import { Worker } from "node:worker_threads";
import { EngineError } from "../errors.js";
import type { SessionHost, SessionOptions } from "./session-host.js";
import { fromWire, toWire, type WireTensor } from "./wire-tensor.js";

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** Options for onnxruntime-node's `InferenceSession.create`. */
function runtimeOptions({ device, threads, externalFolder, externalBuffers }: SessionOptions): object {
  return {
    executionProviders: [device],
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    externalData: [...externalBuffers].map(([path, data]) => ({ path, data })),
    extra: {
      session: {
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

  function request(kind: "create" | "run" | "release", body: object): Promise<unknown> {
    worker ??= start();
    const target = worker;
    const id = nextId++;
    return new Promise((resolve, reject) => {
      pending.set(id, { resolve, reject });
      // Referenced only while there is work, so that a finished program exits by itself.
      target.ref();
      target.postMessage({ id, kind, ...body });
    });
  }

  return {
    name: "onnxruntime-node",
    readsFiles: true,
    async createSession(model, options) {
      const session = nextSession++;
      await request("create", { session, model, options: runtimeOptions(options) });
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
    async close() {
      const target = worker;
      worker = undefined;
      target?.removeAllListeners("exit");
      await target?.terminate();
    },
  };
}
