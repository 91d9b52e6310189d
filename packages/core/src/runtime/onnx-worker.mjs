// @ts-check
/**
 * The worker thread that owns ONNX Runtime sessions.
 *
 * onnxruntime-node computes on the thread that calls it, for seconds at a time; here it does so away from the caller's
 * event loop. Plain JavaScript, because a worker is started from a file as it is, in the sources and in the package.
 * Requests are { id, kind, ... }, answers { id, result } or { id, error }.
 */
import { parentPort } from "node:worker_threads";
import * as ort from "onnxruntime-node";

/** @type {Map<number, ort.InferenceSession>} */
const sessions = new Map();

/** @typedef {{ name: string, dtype: ort.Tensor.Type, shape: number[], data: ort.Tensor.DataType }} WireTensor */

const handlers = {
  /** @param {{ session: number, model: Uint8Array, options: ort.InferenceSession.SessionOptions }} request */
  async create({ session, model, options }) {
    sessions.set(session, await ort.InferenceSession.create(model, options));
    return { result: undefined, transfer: [] };
  },
  /** @param {{ session: number, inputs: WireTensor[] }} request */
  async run({ session, inputs }) {
    const target = sessions.get(session);
    if (target === undefined) throw new Error("the session was released");
    const feeds = Object.fromEntries(
      inputs.map(({ name, dtype, shape, data }) => [name, new ort.Tensor(dtype, /** @type {any} */ (data), shape)]),
    );
    const outputs = await target.run(feeds);
    /** @type {WireTensor[]} */
    const result = [];
    for (const [name, tensor] of Object.entries(outputs)) {
      // Outputs may be views of memory that the runtime owns, which can't be transferred: copy once.
      const data = /** @type {any} */ (await tensor.getData()).slice();
      result.push({ name, dtype: tensor.type, shape: [...tensor.dims], data });
      tensor.dispose();
    }
    return { result, transfer: result.map(({ data }) => /** @type {any} */ (data).buffer) };
  },
  /** @param {{ session: number }} request */
  async release({ session }) {
    await sessions.get(session)?.release();
    sessions.delete(session);
    return { result: undefined, transfer: [] };
  },
};

parentPort?.on("message", async (/** @type {{ id: number, kind: keyof typeof handlers }} */ request) => {
  try {
    const { result, transfer } = await handlers[request.kind](/** @type {any} */ (request));
    parentPort?.postMessage({ id: request.id, result }, transfer);
  } catch (error) {
    parentPort?.postMessage({ id: request.id, error: error instanceof Error ? error.message : String(error) });
  }
});
