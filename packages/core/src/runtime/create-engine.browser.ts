/** The engine for browsers: onnxruntime-web on WebGPU or WebAssembly. */

import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-common";
import { checkOptions, type OptionNames } from "../check-options.js";
import { ConfigError, EngineError, errorMessage } from "../errors.js";
import { closeAll, failClosed } from "./close-all.js";
import { chooseForm } from "./compile.js";
import type { ComputeDType } from "./engine.js";
import { OnnxEngine } from "./onnx-engine.js";
import { fromWire, type Session, type SessionHost, toWire, type WireTensor } from "./session-host.js";

export interface WebEngineOptions {
  /** "auto" takes WebGPU where the browser offers an adapter, otherwise WebAssembly. Default "auto". */
  readonly device?: "auto" | "webgpu" | "wasm";
  /** Default "float32". */
  readonly dtype?: Exclude<ComputeDType, "int8">;
  /** The module to run on, when it isn't `onnxruntime-web` itself (a CDN copy, another build). */
  readonly ort?: OrtModule;
}

/** The part of a browser's globals that matters here; Node's types don't have it. */
interface GpuGlobals {
  readonly navigator?: { readonly gpu?: { requestAdapter(): Promise<unknown> } };
}

async function hasWebGpu(): Promise<boolean> {
  const adapter = await (globalThis as GpuGlobals).navigator?.gpu?.requestAdapter();
  return adapter !== undefined && adapter !== null;
}

export const WEB_ENGINE_OPTIONS: OptionNames<WebEngineOptions> = { device: true, dtype: true, ort: true };

/** Options of Node's engine, and why browsers don't have them. */
export const NOT_IN_BROWSERS = {
  optimize: "isn't there in browsers: programs run as they are written",
  form: "isn't there in browsers: give dtype",
  programCache: "isn't there in browsers, which have no folders",
  threads: "isn't there in browsers: set ort.env.wasm.numThreads, and pass ort",
  calibration: "isn't there in browsers: int8 is for Node",
  cacheDir: "isn't there in browsers, which have a cache of their own",
  offline: "isn't there in browsers",
  retries: "isn't there in browsers",
  onNotice: "isn't there in browsers",
};

/** @throws ConfigError for values that browsers don't have */
export function checkWebEngineWords({ device = "auto", dtype = "float32" }: WebEngineOptions): void {
  if (device !== "auto" && device !== "webgpu" && device !== "wasm") {
    throw new ConfigError(`device: "${String(device)}" is unknown in browsers`, { hint: "Use auto, webgpu or wasm." });
  }
  if (dtype !== "float32" && dtype !== "float16") {
    throw new ConfigError(`dtype: "${String(dtype)}" can't be had in browsers`, { hint: "Use float32 or float16." });
  }
}

/** @throws ConfigError for unknown options; a device that doesn't work fails when the first program is loaded */
export async function createEngine(options: WebEngineOptions = {}): Promise<OnnxEngine> {
  checkOptions("createEngine", options, WEB_ENGINE_OPTIONS, NOT_IN_BROWSERS);
  checkWebEngineWords(options);
  const { device = "auto", dtype = "float32", ort } = options;
  const chosen = device === "auto" ? ((await hasWebGpu()) ? "webgpu" : "wasm") : device;
  return new OnnxEngine(createWebSessionHost(ort), { device: chosen, form: chooseForm({ dtype }) });
}

// Sessions of onnxruntime-web, for browsers: WebGPU or WebAssembly.
//
// WebAssembly computes on the thread that calls it unless `ort.env.wasm.proxy` is set before the first session; WebGPU
// doesn't block. Keep the page smooth by setting the proxy, or by using the library from a web worker.

/** What is used of the module `onnxruntime-web` (or one of its builds, such as `onnxruntime-web/webgpu`). */
export interface OrtModule {
  readonly InferenceSession: {
    create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: new (type: never, data: never, dims: readonly number[]) => OrtTensor;
}

/** Loads the optional peer. */
async function importOrt(): Promise<OrtModule> {
  try {
    return (await import("onnxruntime-web")) as unknown as OrtModule;
  } catch (error) {
    throw new EngineError(`onnxruntime-web can't be loaded: ${errorMessage(error)}`, {
      hint: "Install onnxruntime-web beside @dcae/core, or pass its module as the option ort.",
      cause: error,
    });
  }
}

/** @param given the module to use; by default `onnxruntime-web` is imported at the first session */
export function createWebSessionHost(given?: OrtModule): SessionHost {
  let loading: Promise<OrtModule> | undefined;
  const sessions = new Set<Session>();
  let closed = false;
  const disposed = () => new EngineError("the engine was disposed");
  return {
    name: "onnxruntime-web",
    readsFiles: false,
    async createSession(model, { device, externalBuffers }) {
      if (closed) throw disposed();
      loading ??= given === undefined ? importOrt() : Promise.resolve(given);
      const ort = await loading;
      const session = await ort.InferenceSession.create(model, {
        executionProviders: [device],
        externalData: [...externalBuffers].map(([path, data]) => ({ path, data })),
        logSeverityLevel: 3,
      });
      if (closed) return failClosed(disposed(), [() => session.release()]);
      const wrapped: Session = {
        async run(inputs) {
          const feeds: Record<string, OrtTensor> = {};
          for (const [name, tensor] of inputs) {
            const { dtype, data, shape } = toWire(name, tensor);
            feeds[name] = new ort.Tensor(dtype as never, data as never, shape);
          }
          const outputs = new Map();
          for (const [name, tensor] of Object.entries(await session.run(feeds))) {
            // A copy: the runtime may reuse the memory behind its outputs.
            const data = ((await tensor.getData()) as Float32Array).slice();
            outputs.set(name, fromWire({ name, dtype: tensor.type, shape: tensor.dims, data } as WireTensor));
            tensor.dispose();
          }
          return outputs;
        },
        async release() {
          sessions.delete(wrapped);
          await session.release();
        },
      };
      sessions.add(wrapped);
      return wrapped;
    },
    async close() {
      closed = true;
      await closeAll([...sessions].map((session) => () => session.release()));
    },
  };
}
