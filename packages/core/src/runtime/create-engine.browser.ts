/** The engine for browsers: onnxruntime-web on WebGPU or WebAssembly. */
import { ConfigError } from "../errors.js";
import { chooseForm } from "./compile.js";
import type { ComputeDType } from "./engine.js";
import { OnnxEngine } from "./onnx-engine.js";
import { createWebSessionHost, type OrtModule } from "./web-session-host.js";

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

/** @throws ConfigError for unknown options; a device that doesn't work fails when the first program is loaded */
export async function createEngine(options: WebEngineOptions = {}): Promise<OnnxEngine> {
  const { device = "auto", dtype = "float32", ort } = options;
  if (device !== "auto" && device !== "webgpu" && device !== "wasm") {
    throw new ConfigError(`device: "${String(device)}" is unknown in browsers`, { hint: "Use auto, webgpu or wasm." });
  }
  if (dtype !== "float32" && dtype !== "float16") {
    throw new ConfigError(`dtype: "${String(dtype)}" can't be had in browsers`, { hint: "Use float32 or float16." });
  }
  const chosen = device === "auto" ? ((await hasWebGpu()) ? "webgpu" : "wasm") : device;
  return new OnnxEngine(createWebSessionHost(ort), { device: chosen, form: chooseForm({ dtype }) });
}
