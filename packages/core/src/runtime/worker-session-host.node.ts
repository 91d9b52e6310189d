/** Sessions of onnxruntime-node in a worker thread. */
import { Worker } from "node:worker_threads";
import { EngineError } from "../errors.js";
import { koffiUrl } from "./koffi.node.js";
import { quietRuntime } from "./quiet-runtime.node.js";
import { libraryError } from "./runtime-library.node.js";
import type { SessionHost, SessionOptions } from "./session-host.js";
import { createWorkerHost } from "./worker-session-host.js";

/** Options for onnxruntime-node's `InferenceSession.create`. */
function runtimeOptions(session: SessionOptions): object {
  const { device, threads, externalFolder, externalBuffers } = session;
  const { arena = false, planMemory = true, packWeights = true, exactInt8 = false, unoptimized = false } = session;
  return {
    executionProviders: [device],
    // The arena keeps the memory of every past peak: a third more for a decode at 512x512. Plain programs gain no speed that
    // could be measured; rewritten ones, whose operators are short and move much memory, gain up to half.
    enableCpuMemArena: arena,
    enableMemPattern: planMemory,
    graphOptimizationLevel: unoptimized ? "disabled" : packWeights ? "all" : "extended",
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

const WORKER = new URL("./onnx-worker.mjs", import.meta.url);

/**
 * Its worker doesn't keep the process alive while it is idle.
 *
 * @param script what the worker runs, for tests
 * @param koffi URL of its module, through which state is updated without copies; undefined where it isn't installed
 */
export function createWorkerSessionHost(script = WORKER, koffi = koffiUrl()): SessionHost {
  return createWorkerHost({
    name: "onnxruntime-node",
    readsFiles: true,
    keepsState: true,
    ready: quietRuntime(),
    start(onAnswer, onEnd) {
      const worker = new Worker(script, { workerData: { koffi } });
      worker.on("message", onAnswer);
      worker.on("error", (error) =>
        onEnd(
          libraryError(error) ?? new EngineError(`the ONNX Runtime worker failed: ${error.message}`, { cause: error }),
        ),
      );
      worker.on("exit", (code) => onEnd(new EngineError(`the ONNX Runtime worker ended with exit code ${code}`)));
      return {
        post: (request, transfer) => worker.postMessage(request, transfer),
        // Referenced only while there is work, so that a finished program exits by itself.
        setBusy: (isBusy) => (isBusy ? worker.ref() : worker.unref()),
        terminate: () => worker.terminate(),
      };
    },
    sessionRequest: (session) => ({ options: runtimeOptions(session) }),
  });
}
