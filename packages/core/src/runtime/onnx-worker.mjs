// @ts-check
/**
 * The worker thread of Node that owns ONNX Runtime sessions: onnxruntime-node computes on the thread that calls it, for seconds at a
 * time; here it does so away from the caller's event loop.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { open } from "node:fs/promises";
import { createRequire } from "node:module";
import { parentPort, workerData } from "node:worker_threads";
import * as ort from "onnxruntime-node";
import { openBoundSessions, runtimeLibrary } from "./bound-sessions.mjs";
import { answerRequests } from "./onnx-requests.mjs";

// Failures arrive as exceptions. The native library would print them to stderr as well, even when a device is only tried.
ort.env.logLevel = "fatal";

/**
 * @typedef {{ shape: number[], location: { path: string, offset: number, byteLength: number } }} FileTensor
 * @typedef {{ inputs: Map<string, FileTensor>, path: string, offsets: Map<string, number> }} FileRun
 */

/** Bytes of one read or write: some systems refuse 2 GB at once. */
const MAX_IO_BYTES = 2 ** 30;

/** @param {FileTensor} tensor @param {ArrayBuffer} buffer memory that the runs of a session share */
function readTensor({ shape, location }, buffer) {
  const bytes = new Uint8Array(buffer, 0, location.byteLength);
  const file = openSync(location.path, "r");
  try {
    for (let done = 0; done < bytes.length; ) {
      const wanted = Math.min(bytes.length - done, MAX_IO_BYTES);
      const read = readSync(file, bytes, done, wanted, location.offset + done);
      if (read === 0) throw new Error(`${location.path}: the file ended while it was read`);
      done += read;
    }
  } finally {
    closeSync(file);
  }
  return new ort.Tensor("float32", new Float32Array(buffer, 0, location.byteLength / 4), shape);
}

/** @param {FileRun} run @param {ort.InferenceSession.OnnxValueMapType} outputs freed behind it */
async function writeOutputs({ path, offsets }, outputs) {
  try {
    const file = await open(path, "r+");
    try {
      for (const [name, offset] of offsets) {
        const data = /** @type {any} */ (await /** @type {ort.Tensor} */ (outputs[name]).getData());
        const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
        for (let done = 0; done < bytes.length; ) {
          const wanted = Math.min(bytes.length - done, MAX_IO_BYTES);
          done += (await file.write(bytes, done, wanted, offset + done)).bytesWritten;
        }
      }
    } finally {
      await file.close();
    }
  } finally {
    for (const tensor of Object.values(outputs)) tensor.dispose();
  }
}

/** @param {ort.InferenceSession} session @param {{ runs: FileRun[] }} request */
async function runInFiles(session, { runs }) {
  /** @type {Map<string, ArrayBuffer>} */
  const buffers = new Map();
  let writing = Promise.resolve();
  for (const run of runs) {
    /** @type {Record<string, ort.Tensor>} */
    const feeds = {};
    for (const [name, tensor] of run.inputs) {
      const { byteLength } = tensor.location;
      const known = buffers.get(name);
      const buffer = known === undefined || known.byteLength < byteLength ? new ArrayBuffer(byteLength) : known;
      buffers.set(name, buffer);
      feeds[name] = readTensor(tensor, buffer);
    }
    // The outputs of one run are written while the next is computed, so that two of them exist at a time.
    const [outputs] = await Promise.all([session.run(feeds), writing]);
    writing = writeOutputs(run, outputs);
    // Whoever waits for it next hears of it.
    writing.catch(() => {});
  }
  await writing;
}

/** @typedef {(model: Uint8Array, options: any) => Promise<ort.InferenceSession>} Create */

/** Sessions that update a state without copies of it, where koffi is installed; otherwise those of onnxruntime-node. */
async function openBound() {
  const { koffi } = workerData ?? {};
  const library =
    koffi === undefined ? undefined : runtimeLibrary(createRequire(import.meta.url).resolve("onnxruntime-node"));
  if (library === undefined) return undefined;
  const { default: functions } = await import(koffi);
  return openBoundSessions(functions, library, ort.Tensor);
}

/** @type {Promise<ReturnType<typeof openBoundSessions> | undefined> | undefined} */
let opening;

/** @type {Create} */
async function createBound(model, options) {
  // What koffi can't do here (a system that it has no build for) the usual sessions can.
  opening ??= openBound().catch(() => undefined);
  const bound = options.executionProviders[0] === "cpu" ? await opening : undefined;
  if (bound === undefined) return ort.InferenceSession.create(model, options);
  return /** @type {any} */ (bound.create(model, options));
}

const post = (/** @type {object} */ message, /** @type {ArrayBuffer[] | undefined} */ transfer) =>
  parentPort?.postMessage(message, transfer);
parentPort?.on("message", answerRequests(ort, post, { runInFiles }, createBound));
