// @ts-check
/**
 * A process whose worker updates a state over and over, and that ends in some way: bound-child.mjs MODEL KOFFI WAY, where the model has an
 * input "w" [N, N] and an output "update.w".
 */
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";

const [file = "", koffi, way] = process.argv.slice(2);
const SIZE = 256;
const worker = new Worker(new URL("../../src/runtime/onnx-worker.mjs", import.meta.url), { workerData: { koffi } });
let id = 0;
/** @type {Map<number, (answer: { error?: string }) => void>} */
const waiting = new Map();
worker.on("message", (answer) => waiting.get(answer.id)?.(answer));
/** @param {string} kind @param {object} body */
const ask = async (kind, body) => {
  worker.postMessage({ id: ++id, kind, ...body });
  const { error } = await new Promise((/** @type {(answer: { error?: string }) => void} */ resolve) =>
    waiting.set(id, resolve),
  );
  if (error !== undefined) throw new Error(error);
};
const options = {
  executionProviders: ["cpu"],
  graphOptimizationLevel: "all",
  intraOpNumThreads: 2,
  logSeverityLevel: 3,
};
const binding = { state: 0, inputs: ["w"], outputs: [["update.w", "w"]] };
await ask("createState", { state: 0 });
const data = new Float32Array(SIZE * SIZE).fill(1e-3);
await ask("writeState", { state: 0, tensors: [{ name: "w", dtype: "float32", shape: [SIZE, SIZE], data }] });
await ask("create", { session: 0, model: new Uint8Array(readFileSync(file)), options, binding });
for (let i = 0; i < 3; i++) await ask("run", { session: 0, inputs: [] });
const pending = Array.from({ length: 50 }, () => ask("run", { session: 0, inputs: [] }));
if (way === "exit") setTimeout(() => process.exit(0), 20 * Math.random());
else if (way === "terminate") setTimeout(() => worker.terminate(), 20 * Math.random());
else {
  await Promise.all(pending);
  if (way === "release") await ask("release", { session: 0 });
  worker.unref();
}
