/**
 * Sessions of onnxruntime-web in a web worker: the page goes on while WebAssembly computes, which takes the thread it is called on.
 * Bundlers know `new Worker(new URL(<text>, import.meta.url), { type: "module" })`, so the two stand here as they are.
 */
import { missingFile } from "../bundled-ahead.js";
import { EngineError } from "../errors.js";
import type { SessionHost } from "./session-host.js";
import { type Answer, createWorkerHost } from "./worker-session-host.js";

/** The part of a browser's worker that matters here; Node's types don't have it. */
interface WebWorker {
  onmessage: ((event: { readonly data: Answer }) => void) | null;
  onerror: ((event: { readonly message?: string; preventDefault?(): void }) => void) | null;
  postMessage(message: object, transfer: readonly ArrayBuffer[]): void;
  terminate(): void;
}
declare const Worker: new (script: URL, options: { readonly type: "module" }) => WebWorker;

export type WebDevice = "wasm" | "webgpu";

/** What the runtime's WebAssembly is told, as `ort.env.wasm` names it. */
export interface WasmSettings {
  readonly numThreads?: number;
  readonly wasmPaths?: string | { readonly wasm?: string; readonly mjs?: string };
}

const STARTS: Readonly<Record<WebDevice, () => WebWorker>> = {
  wasm: () => new Worker(new URL("./onnx-worker-wasm.mjs", import.meta.url), { type: "module" }),
  webgpu: () => new Worker(new URL("./onnx-worker-webgpu.mjs", import.meta.url), { type: "module" }),
};

/** Why a worker may not have started: its file isn't where this module says. */
const START_HINT =
  'Is onnxruntime-web installed, and does your bundler know new Worker(new URL(...), { type: "module" }), as Vite and webpack 5 do? Otherwise pass worker: false.';

export function createWebWorkerHost(device: WebDevice, wasm: WasmSettings): SessionHost {
  return createWorkerHost({
    name: "onnxruntime-web",
    readsFiles: false,
    keepsState: false,
    start(onAnswer, onEnd) {
      const worker = STARTS[device]();
      let hasAnswered = false;
      worker.onmessage = ({ data }) => {
        hasAnswered = true;
        onAnswer(data);
      };
      worker.onerror = (event) => {
        event.preventDefault?.();
        const reason = event.message ? `: ${event.message}` : "";
        worker.terminate();
        onEnd(
          hasAnswered
            ? new EngineError(`the worker of ONNX Runtime failed${reason}`, { hint: "Load the model again." })
            : new EngineError(...missingFile(`the worker of ONNX Runtime doesn't start${reason}`, START_HINT)),
        );
      };
      return {
        post: (request, transfer) => worker.postMessage(request, transfer),
        terminate: () => worker.terminate(),
      };
    },
    sessionRequest: ({ externalBuffers }) => ({ options: webSessionOptions(device, externalBuffers), wasm }),
  });
}

/** Options for onnxruntime-web's `InferenceSession.create`. */
export function webSessionOptions(device: string, externalBuffers: ReadonlyMap<string, Uint8Array>): object {
  return {
    executionProviders: [device],
    externalData: [...externalBuffers].map(([path, data]) => ({ path, data })),
    logSeverityLevel: 3,
  };
}
