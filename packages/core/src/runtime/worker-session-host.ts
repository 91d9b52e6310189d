/**
 * Sessions in a worker, of Node or of a browser, so that neither loading nor running blocks the caller's event loop. How a worker
 * is started, and what the runtime's options are called, is the platform's.
 */
import { EngineError } from "../errors.js";
import {
  fromWire,
  type SessionHost,
  type SessionOptions,
  type SessionState,
  toWire,
  type WireTensor,
} from "./session-host.js";

/** What a worker answers, see onnx-requests.mjs. */
export interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
  /** Of a system call that failed. */
  readonly code?: unknown;
}

type Request =
  | "create"
  | "run"
  | "runInFiles"
  | "release"
  | "createState"
  | "writeState"
  | "readState"
  | "placeState"
  | "releaseState";

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** A worker that runs. */
export interface StartedWorker {
  post(request: object, transfer: readonly ArrayBuffer[]): void;
  /** Whether it has to be waited for: what is idle needn't keep a process alive. */
  setBusy?(isBusy: boolean): void;
  terminate(): unknown;
}

export interface WorkerPlatform {
  /** For messages, as in "onnxruntime-node". */
  readonly name: string;
  readonly readsFiles: boolean;
  readonly keepsState: boolean;
  /** Resolves when a worker may be started. */
  readonly ready?: Promise<unknown> | undefined;
  /** Starts one. `onEnd` is called when it failed or ended, the first reason counts. */
  start(onAnswer: (answer: Answer) => void, onEnd: (reason: Error) => void): StartedWorker;
  /** What goes along with the request for a session. */
  sessionRequest(options: SessionOptions): { readonly options: object } & Readonly<Record<string, unknown>>;
}

/** A worker with the requests that it hasn't answered. */
interface Connection {
  request(kind: Request, body: object, transfer?: readonly ArrayBuffer[]): Promise<unknown>;
  /** Why it takes no requests any more. */
  readonly ended: Error | undefined;
  end(reason: Error): Promise<void>;
}

function connect({ start }: WorkerPlatform): Connection {
  const pending = new Map<number, Pending>();
  let nextId = 0;
  let ended: Error | undefined;

  /** An error is followed by the end of the worker: what was said first counts. */
  function fail(reason: Error): void {
    ended ??= reason;
    for (const { reject } of pending.values()) reject(ended);
    pending.clear();
  }

  const worker = start(({ id, result, error, code }) => {
    const request = pending.get(id);
    pending.delete(id);
    if (pending.size === 0) worker.setBusy?.(false);
    if (error === undefined) request?.resolve(result);
    else request?.reject(code === undefined ? new Error(error) : Object.assign(new Error(error), { code }));
  }, fail);

  return {
    get ended() {
      return ended;
    },
    request(kind, body, transfer = []) {
      if (ended !== undefined) return Promise.reject(ended);
      const id = nextId++;
      return new Promise((resolve, reject) => {
        pending.set(id, { resolve, reject });
        worker.setBusy?.(true);
        worker.post({ id, kind, ...body }, transfer);
      });
    },
    async end(reason) {
      fail(reason);
      // Who waits for the end must hear of it.
      worker.setBusy?.(true);
      await worker.terminate();
    },
  };
}

/** What can be moved to a worker instead of being copied, once each: tensors may be parts of one buffer. */
function buffersOf(tensors: readonly WireTensor[]): ArrayBuffer[] {
  const buffers = new Set(tensors.map(({ data }) => (data as Float32Array).buffer));
  return [...buffers].filter((buffer) => buffer instanceof ArrayBuffer);
}

/** Starts a worker at the first session, and another one where it ended; sessions and states of the old one are lost. */
export function createWorkerHost(platform: WorkerPlatform): SessionHost {
  let connection: Connection | undefined;
  let closed = false;
  let nextSession = 0;
  let nextState = 0;
  const stateIds = new WeakMap<SessionState, number>();
  const { ready } = platform;
  // Whoever asks for a session hears of it.
  ready?.catch(() => undefined);

  function connected(): Connection {
    if (closed) throw new EngineError("the engine was disposed");
    if (connection === undefined || connection.ended !== undefined) connection = connect(platform);
    return connection;
  }

  async function createState(): Promise<SessionState> {
    if (ready !== undefined) await ready;
    const home = connected();
    const id = nextState++;
    await home.request("createState", { state: id });
    const state: SessionState = {
      async write(tensors, isGiven) {
        const wire = [...tensors].map(([name, tensor]) => toWire(name, tensor));
        await home.request("writeState", { state: id, tensors: wire }, isGiven ? buffersOf(wire) : []);
      },
      async read(names) {
        const wire = (await home.request("readState", { state: id, names })) as WireTensor[];
        return new Map(wire.map((tensor) => [tensor.name, fromWire(tensor)]));
      },
      async place(places, memory) {
        await home.request("placeState", { state: id, places: [...places], memory });
      },
      async release() {
        if (home.ended === undefined) await home.request("releaseState", { state: id });
      },
    };
    stateIds.set(state, id);
    return state;
  }

  return {
    name: platform.name,
    readsFiles: platform.readsFiles,
    async createSession(model, options) {
      if (ready !== undefined) await ready;
      const home = connected();
      const session = nextSession++;
      const { binding } = options;
      const body = {
        session,
        model,
        binding: binding && {
          state: stateIds.get(binding.state),
          inputs: binding.inputs,
          outputs: [...binding.outputs],
          inPlace: [...binding.inPlace],
        },
        ...platform.sessionRequest(options),
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
        ...(platform.readsFiles
          ? { runInFiles: async (runs) => void (await home.request("runInFiles", { session, runs })) }
          : {}),
        async release() {
          if (home.ended === undefined) await home.request("release", { session });
        },
      };
    },
    ...(platform.keepsState ? { createState } : {}),
    async close() {
      closed = true;
      // Whoever waits for a session or a run learns that there will be none.
      await connection?.end(new EngineError("the engine was disposed"));
    },
  };
}
