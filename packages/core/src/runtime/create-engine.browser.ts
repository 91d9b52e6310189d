/** The engine for browsers: onnxruntime-web on WebGPU or WebAssembly, in a web worker. */

import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-common";
import { checkOptions, type OptionNames } from "../check-options.js";
import { ConfigError, EngineError, errorMessage } from "../errors.js";
import { closeAll, failClosed } from "./close-all.js";
import { chooseForm } from "./compile.js";
import type { ComputeDType } from "./engine.js";
import { OnnxEngine } from "./onnx-engine.js";
import { fromWire, type Session, type SessionHost, toWire, type WireTensor } from "./session-host.js";
import {
  createWebWorkerHost,
  type WasmSettings,
  type WebDevice,
  webSessionOptions,
} from "./worker-session-host.browser.js";

/** Options of `createEngine` in a browser. */
export interface WebEngineOptions {
  /** "auto" takes WebGPU where the browser offers an adapter, otherwise WebAssembly. Default "auto". */
  readonly device?: "auto" | "webgpu" | "wasm";
  /** Default "float32". */
  readonly dtype?: Exclude<ComputeDType, "int8">;
  /**
   * Whether sessions live in a web worker, so that the page goes on while they compute. Default: true on a page, false where this runs
   * in a worker already, and with `ort`.
   */
  readonly worker?: boolean;
  /**
   * Threads of WebAssembly. More than one needs a page that is isolated (see the guide to browsers). Default: on such pages what
   * onnxruntime-web takes, half of the cores and at most 4, otherwise 1.
   */
  readonly threads?: number;
  /**
   * Where the files of WebAssembly lie, when the bundler doesn't find them: the URL of their folder, with a slash at its end, or of the files.
   * Default: beside onnxruntime-web's own script.
   */
  readonly wasmPaths?: string | { readonly wasm?: string; readonly mjs?: string };
  /**
   * The module to run on, when it isn't `onnxruntime-web` itself (a CDN copy, another build). It can't be passed on to a worker: sessions
   * live where it does, and its settings (`ort.env`) are yours.
   */
  readonly ort?: OrtModule;
}

interface GpuAdapter {
  readonly isFallbackAdapter?: boolean;
  readonly info?: { readonly isFallbackAdapter?: boolean };
}

/** The part of a browser's globals that matters here; Node's types don't have it. */
interface PageGlobals {
  readonly navigator?: { readonly gpu?: { requestAdapter(): Promise<GpuAdapter | null> } };
  readonly document?: unknown;
  readonly Worker?: unknown;
  readonly crossOriginIsolated?: boolean;
}
const page = globalThis as PageGlobals;

/** Whether there is a graphics card behind WebGPU: without one, browsers compute it on the CPU, slower than WebAssembly. */
async function hasWebGpu(): Promise<boolean> {
  const adapter = await page.navigator?.gpu?.requestAdapter();
  if (adapter === undefined || adapter === null) return false;
  return !(adapter.isFallbackAdapter ?? adapter.info?.isFallbackAdapter ?? false);
}

export const WEB_ENGINE_OPTIONS: OptionNames<WebEngineOptions> = {
  device: true,
  dtype: true,
  worker: true,
  threads: true,
  wasmPaths: true,
  ort: true,
};

/** What was given of an engine's options, for whoever passes them on. */
export function webEngineOptions(options: WebEngineOptions): WebEngineOptions {
  const names = Object.keys(WEB_ENGINE_OPTIONS) as (keyof WebEngineOptions)[];
  return Object.fromEntries(
    names.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])),
  ) as WebEngineOptions;
}

/** Options of Node's engine, and why browsers don't have them. */
export const NOT_IN_BROWSERS = {
  optimize: "isn't there in browsers: programs run as they are written",
  form: "isn't there in browsers: give dtype",
  programCache: "isn't there in browsers, which have no folders",
  calibration: "isn't there in browsers: int8 is for Node",
  cacheDir: "isn't there in browsers, which have a cache of their own",
  offline: "isn't there in browsers",
  retries: "isn't there in browsers",
  onNotice: "isn't there in browsers",
};

/** @throws ConfigError for values that browsers don't have */
export function checkWebEngineWords(options: WebEngineOptions): void {
  const { device = "auto", dtype = "float32", worker, threads, wasmPaths, ort } = options;
  if (device !== "auto" && device !== "webgpu" && device !== "wasm") {
    throw new ConfigError(`device: "${String(device)}" is unknown in browsers`, { hint: "Use auto, webgpu or wasm." });
  }
  if (dtype !== "float32" && dtype !== "float16") {
    throw new ConfigError(`dtype: "${String(dtype)}" can't be had in browsers`, { hint: "Use float32 or float16." });
  }
  if (worker !== undefined && typeof worker !== "boolean") {
    throw new ConfigError(`worker: ${String(worker)} isn't true or false`);
  }
  if (ort !== undefined) {
    const useless = worker === true ? "worker" : threads !== undefined ? "threads" : wasmPaths && "wasmPaths";
    if (useless === undefined) return;
    throw new ConfigError(`${useless}: it has no effect beside ort, whose sessions live where it does`, {
      hint: "Set ort.env.wasm, or leave ort out.",
    });
  }
  if (threads === undefined) return;
  if (!(Number.isInteger(threads) && threads >= 1))
    throw new ConfigError(`threads: ${threads} isn't a positive integer`);
  if (threads > 1 && page.crossOriginIsolated !== true) {
    throw new ConfigError(`threads: ${threads} need a page that is cross-origin isolated, and this one isn't`, {
      hint: "Serve it with the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, or leave threads out.",
    });
  }
}

/** @throws ConfigError for unknown options; a device that doesn't work fails when the first program is loaded */
/**
 * The engine of a browser: ONNX Runtime on WebGPU or WebAssembly. Dispose it when done.
 *
 * @throws ConfigError for options that a browser doesn't have, EngineError when the runtime doesn't load
 */
export async function createEngine(options: WebEngineOptions = {}): Promise<OnnxEngine> {
  checkOptions("createEngine", options, WEB_ENGINE_OPTIONS, NOT_IN_BROWSERS);
  checkWebEngineWords(options);
  const { device = "auto", dtype = "float32" } = options;
  const chosen = device === "auto" ? ((await hasWebGpu()) ? "webgpu" : "wasm") : device;
  return new OnnxEngine(createHost(chosen, options), { device: chosen, form: chooseForm({ dtype, optimize: false }) });
}

function createHost(device: WebDevice, { ort, worker, threads, wasmPaths }: WebEngineOptions): SessionHost {
  const onPage = page.document !== undefined && page.Worker !== undefined;
  const settings: WasmSettings = {
    ...(threads === undefined ? {} : { numThreads: threads }),
    // A worker has an address of its own, that relative ones would be read against.
    ...(wasmPaths === undefined ? {} : { wasmPaths: absolute(wasmPaths) }),
  };
  if (worker ?? (onPage && ort === undefined)) return createWebWorkerHost(device, settings);
  return createWebSessionHost(ort, device, settings);
}

function absolute(paths: NonNullable<WebEngineOptions["wasmPaths"]>): NonNullable<WasmSettings["wasmPaths"]> {
  const base = (globalThis as { readonly document?: { readonly baseURI?: string } }).document?.baseURI;
  const url = (path: string) => (base === undefined ? path : new URL(path, base).href);
  if (typeof paths === "string") return url(paths);
  return Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, url(path)]));
}

// Sessions where this runs: on the page, or in a worker that the program has itself. WebAssembly computes on that thread.

/** What is used of the module `onnxruntime-web` (or one of its builds, such as `onnxruntime-web/webgpu`). */
export interface OrtModule {
  readonly InferenceSession: {
    create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: new (type: never, data: never, dims: readonly number[]) => OrtTensor;
}

/** Loads the optional peer, in the smallest of its builds that has the device. */
async function importOrt(device: WebDevice, settings: WasmSettings): Promise<OrtModule> {
  try {
    const ort = await (device === "webgpu" ? import("onnxruntime-web/webgpu") : import("onnxruntime-web/wasm"));
    Object.assign(ort.env.wasm, settings);
    return ort as unknown as OrtModule;
  } catch (error) {
    throw new EngineError(`onnxruntime-web can't be loaded: ${errorMessage(error)}`, {
      hint: "Install onnxruntime-web beside @dcae/core, or pass its module as the option ort.",
      cause: error,
    });
  }
}

/** @param given the module to use; by default `onnxruntime-web` is imported at the first session */
/** What runs ONNX models in a browser, from onnxruntime-web. */
export function createWebSessionHost(
  given?: OrtModule,
  device: WebDevice = "wasm",
  settings: WasmSettings = {},
): SessionHost {
  let loading: Promise<OrtModule> | undefined;
  const sessions = new Set<Session>();
  let closed = false;
  const disposed = () => new EngineError("the engine was disposed");
  return {
    name: "onnxruntime-web",
    readsFiles: false,
    async createSession(model, { externalBuffers }) {
      if (closed) throw disposed();
      loading ??= given === undefined ? importOrt(device, settings) : Promise.resolve(given);
      const ort = await loading;
      const session = await ort.InferenceSession.create(model, webSessionOptions(device, externalBuffers));
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
