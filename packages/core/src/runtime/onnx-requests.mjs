// @ts-check
/**
 * What is asked of a worker that owns ONNX Runtime sessions, in Node and in browsers: requests are { id, kind, ... }, answers
 * { id, result } or { id, error, code }. Plain JavaScript, because a worker is started from a file as it is, in the sources and in the package.
 */
/** @typedef {import("onnxruntime-common")} Ort */
/** @typedef {import("onnxruntime-common").Tensor} OrtTensor */

/**
 * @param {Pick<Ort, "InferenceSession" | "Tensor" | "env">} ort
 * @param {(answer: object, transfer?: ArrayBuffer[]) => void} post
 * @param {Record<string, (session: any, request: any) => Promise<void>>} ofSession what else a platform does with a session, by kind
 * @param {(model: Uint8Array, options: object) => Promise<import("onnxruntime-common").InferenceSession>} createBound
 *   makes sessions that update a state
 * @returns {(request: any) => void} takes requests, and answers them one after the other
 */
export function answerRequests(ort, post, ofSession = {}, createBound = ort.InferenceSession.create) {
  /** @type {Map<number, import("onnxruntime-common").InferenceSession>} */
  const sessions = new Map();

  /**
   * Tensors kept between runs. The next update is written over the old value where the binding allows it, otherwise into a second
   * buffer, so that a step neither allocates nor copies its parameters. What lies in memory that the caller sees stays there.
   * @typedef {{ current: OrtTensor, spare: OrtTensor | undefined, isPlaced?: boolean }} Held
   * @type {Map<number, Map<string, Held>>}
   */
  const states = new Map();

  /** Why states can't be used any more, by their numbers: a run that failed may have left some tensors new and others old. */
  const broken = new Map();

  /**
   * @typedef {{ state: number, inputs: string[], outputs: [output: string, name: string][], inPlace: string[] }} Binding
   * @type {Map<number, Binding>}
   */
  const bindings = new Map();

  /** @typedef {{ name: string, dtype: import("onnxruntime-common").Tensor.Type, shape: number[], data: import("onnxruntime-common").Tensor.DataType }} WireTensor */

  /** @param {WireTensor} wire */
  const toTensor = ({ dtype, shape, data }) => new ort.Tensor(dtype, /** @type {any} */ (data), shape);

  /** @param {number} id @param {string} name */
  function heldTensor(id, name) {
    const state = states.get(id);
    if (state === undefined) throw new Error("the state was disposed");
    if (broken.has(id)) throw new Error(`the state was lost when a run failed: ${broken.get(id)}`);
    const held = state.get(name);
    if (held === undefined) throw new Error(`the state holds no "${name}"`);
    return held;
  }

  /**
   * The tensor's elements in a form that can be transferred: a copy, unless nobody else needs them and they are a buffer of their own,
   * as in Node. Elsewhere they may be a part of the memory that the runtime owns.
   *
   * @param {string} name @param {OrtTensor} tensor @param {boolean} isLast whether nobody reads it afterwards
   */
  async function toWire(name, tensor, isLast = false) {
    const data = /** @type {any} */ (await tensor.getData());
    const isWhole = data.buffer instanceof ArrayBuffer && data.byteLength === data.buffer.byteLength;
    return { name, dtype: tensor.type, shape: [...tensor.dims], data: isLast && isWhole ? data : data.slice() };
  }

  /** @param {OrtTensor} target @param {OrtTensor} source */
  const copyTo = (target, source) => void (/** @type {any} */ (target.data).set(source.data));

  /** @param {WireTensor[]} result */
  const transferred = (result) => ({
    result,
    transfer: [...new Set(result.map(({ data }) => /** @type {any} */ (data).buffer))],
  });

  const handlers = {
    /**
     * @param {{
     *   session: number, model: Uint8Array, options: import("onnxruntime-common").InferenceSession.SessionOptions,
     *   binding: Binding | undefined, wasm: object | undefined
     * }} request
     */
    async create({ session, model, options, binding, wasm }) {
      // Counts until the first session exists; later ones say the same.
      Object.assign(ort.env.wasm, wasm);
      const create = binding === undefined ? ort.InferenceSession.create : createBound;
      sessions.set(session, await create(model, options));
      if (binding !== undefined) bindings.set(session, binding);
      return { result: undefined, transfer: [] };
    },
    /** @param {{ session: number, inputs: WireTensor[] }} request */
    async run({ session, inputs }) {
      const target = sessions.get(session);
      if (target === undefined) throw new Error("the session was released");
      const binding = bindings.get(session);
      const { readsShared = false } = /** @type {{ readsShared?: boolean }} */ (target);
      /** @param {Held} held */
      const forSession = ({ current, isPlaced }) =>
        isPlaced && !readsShared
          ? new ort.Tensor(current.type, /** @type {any} */ (current.data).slice(), current.dims)
          : current;
      const feeds = Object.fromEntries(inputs.map((wire) => [wire.name, toTensor(wire)]));
      for (const name of binding?.inputs ?? [])
        feeds[name] = forSession(heldTensor(/** @type {Binding} */ (binding).state, name));
      /** @type {Record<string, OrtTensor | null>} */
      const fetches = Object.fromEntries(target.outputNames.map((name) => [name, null]));
      /** @type {Map<string, Held>} */
      const updates = new Map();
      const inPlace = new Set(binding?.inPlace);
      /** @param {string} name @param {Held} held */
      const isWrittenOver = (name, held) => inPlace.has(name) && (!held.isPlaced || readsShared);
      for (const [output, name] of binding?.outputs ?? []) {
        const held = heldTensor(/** @type {Binding} */ (binding).state, name);
        updates.set(output, held);
        fetches[output] = isWrittenOver(name, held) ? held.current : (held.spare ?? null);
      }
      const outputs = await target.run(feeds, fetches).catch((/** @type {unknown} */ error) => {
        if (inPlace.size > 0) broken.set(binding?.state, error instanceof Error ? error.message : String(error));
        throw error;
      });
      /** @type {WireTensor[]} */
      const result = [];
      for (const [name, tensor] of Object.entries(outputs)) {
        const held = updates.get(name);
        if (held !== undefined) {
          // The run wrote into the buffer that it was given. onnxruntime-node answers with a copy of it, which is left to be
          // collected; a bound session answers with the buffer itself.
          const made = fetches[name] ?? tensor;
          if (made === held.current) continue;
          if (held.isPlaced) copyTo(held.current, made);
          [held.current, held.spare] = held.isPlaced ? [held.current, made] : [made, held.current];
          continue;
        }
        result.push(await toWire(name, tensor, true));
        tensor.dispose();
      }
      return transferred(result);
    },
    /** @param {{ state: number }} request */
    async createState({ state }) {
      states.set(state, new Map());
      return { result: undefined, transfer: [] };
    },
    /** @param {{ state: number, tensors: WireTensor[] }} request */
    async writeState({ state, tensors }) {
      const target = states.get(state);
      if (target === undefined) throw new Error("the state was disposed");
      for (const wire of tensors) {
        const held = target.get(wire.name);
        if (held?.isPlaced) copyTo(held.current, toTensor(wire));
        else target.set(wire.name, { current: toTensor(wire), spare: undefined });
      }
      return { result: undefined, transfer: [] };
    },
    /** @param {{ state: number, places: [name: string, place: { offset: number, shape: number[] }][], memory: Float32Array }} request */
    async placeState({ state, places, memory }) {
      const target = states.get(state);
      if (target === undefined) throw new Error("the state was disposed");
      for (const [name, { offset, shape }] of places) {
        const size = shape.reduce((a, b) => a * b, 1);
        const current = new ort.Tensor("float32", memory.subarray(offset, offset + size), shape);
        if (target.has(name)) copyTo(current, heldTensor(state, name).current);
        target.set(name, { current, spare: undefined, isPlaced: true });
      }
      return { result: undefined, transfer: [] };
    },
    /** @param {{ state: number, names: string[] }} request */
    async readState({ state, names }) {
      const result = [];
      for (const name of names) result.push(await toWire(name, heldTensor(state, name).current));
      return transferred(result);
    },
    /** @param {{ state: number }} request */
    async releaseState({ state }) {
      states.delete(state);
      broken.delete(state);
      return { result: undefined, transfer: [] };
    },
    /** @param {{ session: number }} request */
    async release({ session }) {
      await sessions.get(session)?.release();
      sessions.delete(session);
      bindings.delete(session);
      return { result: undefined, transfer: [] };
    },
  };

  /** @param {{ session: number, kind: string }} request */
  async function answerOfSession(request) {
    const target = sessions.get(request.session);
    if (target === undefined) throw new Error("the session was released");
    await ofSession[request.kind]?.(target, request);
    return { result: undefined, transfer: [] };
  }

  /** @param {{ id: number, kind: keyof typeof handlers }} request */
  async function answer(request) {
    try {
      const handler = request.kind in ofSession ? answerOfSession : handlers[request.kind];
      const { result, transfer } = await handler(/** @type {any} */ (request));
      post({ id: request.id, result }, transfer);
    } catch (error) {
      const { code } = /** @type {{ code?: unknown }} */ (error);
      post({ id: request.id, error: error instanceof Error ? error.message : String(error), code });
    }
  }

  // One request at a time: a run must see the state that the one before it left.
  let last = Promise.resolve();
  return (request) => {
    last = last.then(() => answer(request));
  };
}
