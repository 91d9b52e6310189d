// @ts-check
/**
 * Sessions that write their outputs where they are told to, and leave it at that: ONNX Runtime's C API, called through koffi.
 *
 * onnxruntime-node answers a run with copies of all outputs, also of those that it was given memory for. A training step puts out its
 * whole state, so that a fifth of it may be copying, into memory that waits to be collected. The C API has no such answer. It is a
 * table of functions, whose places never change (onnxruntime_c_api.cc says so, and checks it when it is compiled).
 *
 * Everything that crosses is memory that JavaScript owns, in array buffers, which stay where they are. It is held by variables here
 * until the runtime is done with it.
 */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";

/** @typedef {typeof import("koffi")} Koffi */
/** @typedef {import("onnxruntime-common").Tensor} OrtTensor */
/** @typedef {bigint} Pointer */

/** The functions that are used: their places in the table, and how they are called. All of those before 150 are of version 5. */
const FUNCTIONS = /** @type {const} */ ({
  getErrorMessage: [2, "const char *(void *status)"],
  createEnv: [3, "void *(int level, const char *name, void *env)"],
  createSessionFromArray: [8, "void *(void *env, void *model, size_t size, void *options, void *session)"],
  run: [
    9,
    "void *(void *session, void *options, void *names, void *inputs, size_t count, void *outputNames, size_t outputCount, void *outputs)",
  ],
  createSessionOptions: [10, "void *(void *options)"],
  disableMemPattern: [17, "void *(void *options)"],
  disableCpuMemArena: [19, "void *(void *options)"],
  setLogSeverity: [22, "void *(void *options, int level)"],
  setGraphOptimization: [23, "void *(void *options, int level)"],
  setThreads: [24, "void *(void *options, int count)"],
  inputCount: [30, "void *(void *session, void *count)"],
  outputCount: [31, "void *(void *session, void *count)"],
  outputTypeInfo: [34, "void *(void *session, size_t index, void *info)"],
  inputName: [36, "void *(void *session, size_t index, void *allocator, void *name)"],
  outputName: [37, "void *(void *session, size_t index, void *allocator, void *name)"],
  createTensor: [49, "void *(void *memory, void *data, size_t bytes, void *shape, size_t rank, int type, void *value)"],
  castToTensorInfo: [55, "void *(void *info, void *tensorInfo)"],
  elementType: [60, "void *(void *tensorInfo, void *type)"],
  rank: [61, "void *(void *tensorInfo, void *rank)"],
  dimensions: [62, "void *(void *tensorInfo, void *dimensions, size_t rank)"],
  createCpuMemoryInfo: [69, "void *(int allocator, int kind, void *info)"],
  free: [76, "void *(void *allocator, void *memory)"],
  defaultAllocator: [78, "void *(void *allocator)"],
  releaseStatus: [93, "void(void *status)"],
  releaseSession: [95, "void(void *session)"],
  releaseValue: [96, "void(void *value)"],
  releaseTypeInfo: [98, "void(void *info)"],
  releaseSessionOptions: [100, "void(void *options)"],
  addConfigEntry: [130, "void *(void *options, const char *key, const char *value)"],
  addExternalData: [279, "void *(void *options, void *names, void *buffers, void *sizes, size_t count)"],
});

/** The version of the table that has all of them. */
const API_VERSION = 18;
const POINTER_BYTES = 8;
/** koffi calls on a stack of its own. The runtime expects that of a thread, which is as large as this on Linux. */
const STACK_BYTES = 8 * 2 ** 20;
/** ORT_LOGGING_LEVEL_FATAL: failures are exceptions here. */
const FATAL = 4;
/** OrtArenaAllocator and OrtMemTypeDefault, which mean the memory of this process. */
const [ARENA, DEFAULT_MEMORY] = [1, 0];
const OPTIMIZATION = /** @type {Readonly<Record<string, number>>} */ ({ disabled: 0, basic: 1, extended: 2, all: 99 });

/** Numbers of element types in the C API, with the arrays that hold them. */
const TYPES = /** @type {Readonly<Record<string, readonly [number, any]>>} */ ({
  float32: [1, Float32Array],
  uint8: [2, Uint8Array],
  int8: [3, Int8Array],
  uint16: [4, Uint16Array],
  int16: [5, Int16Array],
  int32: [6, Int32Array],
  int64: [7, BigInt64Array],
  bool: [9, Uint8Array],
  float16: [10, Uint16Array],
  float64: [11, Float64Array],
  uint32: [12, Uint32Array],
  uint64: [13, BigUint64Array],
});

/**
 * The library that onnxruntime-node has loaded.
 *
 * @param {string} entry its main module
 * @returns {string | undefined} undefined where there is none that is known to work like this
 */
export function runtimeLibrary(entry) {
  const names = /** @type {Readonly<Record<string, RegExp>>} */ ({
    linux: /^libonnxruntime\.so\.\d+$/,
    darwin: /^libonnxruntime\.[\d.]+\.dylib$/,
  });
  const name = names[process.platform];
  const bin = join(dirname(dirname(entry)), "bin");
  for (const version of name === undefined ? [] : readdirSync(bin)) {
    const folder = join(bin, version, process.platform, process.arch);
    const file = readdirSync(folder).find((candidate) => name?.test(candidate));
    if (file !== undefined) return join(folder, file);
  }
  return undefined;
}

/** Strings that end with 0, and pointers to them; both have to be held. @param {Koffi} koffi @param {readonly string[]} texts */
function strings(koffi, texts) {
  const bytes = new TextEncoder().encode(texts.map((text) => `${text}\0`).join(""));
  // A buffer of its own: what an encoder gives may be a part of one that others use.
  const held = new Uint8Array(new ArrayBuffer(bytes.length + 1));
  held.set(bytes);
  const start = koffi.address(held);
  const pointers = new BigUint64Array(new ArrayBuffer(texts.length * POINTER_BYTES));
  let at = 0n;
  texts.forEach((text, i) => {
    pointers[i] = start + at;
    at += BigInt(Buffer.byteLength(text) + 1);
  });
  return { held, pointers };
}

/**
 * Opens the library's C API.
 *
 * @param {Koffi} koffi
 * @param {string} library a file that this process has loaded
 * @param {new (type: any, data: any, dims: readonly number[]) => OrtTensor} Tensor
 * @throws Error where it isn't what it should be
 */
export function openBoundSessions(koffi, library, Tensor) {
  koffi.config({ sync_stack_size: STACK_BYTES });
  const base = /** @type {Pointer} */ (koffi.load(library).func("void *OrtGetApiBase()")());
  const getApi = koffi.decode(base, 0, "void *");
  const api = koffi.call(getApi, koffi.proto("void *(uint32_t version)"), API_VERSION);
  if (api === null) throw new Error(`${library} has no API of version ${API_VERSION}`);
  const call = /** @type {Record<keyof typeof FUNCTIONS, (...values: unknown[]) => any>} */ (
    Object.fromEntries(
      Object.entries(FUNCTIONS).map(([name, [place, prototype]]) => {
        const address = koffi.decode(api, place * POINTER_BYTES, "void *");
        const type = koffi.proto(prototype);
        return [name, (/** @type {unknown[]} */ ...values) => koffi.call(address, type, ...values)];
      }),
    )
  );

  /** @param {Pointer | null} status what a function gives, null where it succeeded */
  function check(status) {
    if (status === null) return;
    const message = call.getErrorMessage(status);
    call.releaseStatus(status);
    throw new Error(message);
  }

  /** Calls a function whose last argument is where it puts a pointer or a size. @param {(place: BigUint64Array) => Pointer | null} use */
  function result(use) {
    const place = new BigUint64Array(new ArrayBuffer(POINTER_BYTES));
    check(use(place));
    return /** @type {bigint} */ (place[0]);
  }

  const env = result((place) => call.createEnv(FATAL, "dcae", place));
  const memory = result((place) => call.createCpuMemoryInfo(ARENA, DEFAULT_MEMORY, place));
  const allocator = result((place) => call.defaultAllocator(place));

  /** @param {Pointer} session @param {"inputCount" | "outputCount"} count @param {"inputName" | "outputName"} name */
  function namesOf(session, count, name) {
    const length = Number(result((place) => call[count](session, place)));
    return Array.from({ length }, (_, i) => {
      const text = result((place) => call[name](session, i, allocator, place));
      try {
        return /** @type {string} */ (koffi.decode.string(text));
      } finally {
        check(call.free(allocator, text));
      }
    });
  }

  /** @param {Pointer} session @param {number} index @returns {{ type: string, dims: number[] }} */
  function outputType(session, index) {
    const info = result((place) => call.outputTypeInfo(session, index, place));
    try {
      const tensor = result((place) => call.castToTensorInfo(info, place));
      const element = new Int32Array(new ArrayBuffer(4));
      check(call.elementType(tensor, element));
      const rank = Number(result((place) => call.rank(tensor, place)));
      const dims = new BigInt64Array(new ArrayBuffer(Math.max(1, rank) * 8));
      check(call.dimensions(tensor, dims, rank));
      const type = Object.keys(TYPES).find((name) => TYPES[name]?.[0] === element[0]);
      const sizes = [...dims.subarray(0, rank)].map(Number);
      if (type === undefined || sizes.some((size) => size < 0))
        throw new Error("outputs need types and sizes that are known");
      return { type, dims: sizes };
    } finally {
      call.releaseTypeInfo(info);
    }
  }

  /** @param {any} options those of onnxruntime-node */
  function sessionOptions(options) {
    const made = result((place) => call.createSessionOptions(place));
    try {
      if (options.enableMemPattern === false) check(call.disableMemPattern(made));
      if (options.enableCpuMemArena === false) check(call.disableCpuMemArena(made));
      if (options.intraOpNumThreads !== undefined) check(call.setThreads(made, options.intraOpNumThreads));
      check(call.setLogSeverity(made, FATAL));
      check(call.setGraphOptimization(made, OPTIMIZATION[options.graphOptimizationLevel]));
      for (const [key, value] of Object.entries(options.extra?.session ?? {})) {
        check(call.addConfigEntry(made, `session.${key}`, value));
      }
      return made;
    } catch (error) {
      call.releaseSessionOptions(made);
      throw error;
    }
  }

  /**
   * A session as onnxruntime-node has it, as far as it is used here.
   *
   * @param {Uint8Array} model
   * @param {any} options those of onnxruntime-node
   */
  function create(model, options) {
    const made = sessionOptions(options);
    /** @type {Pointer} */
    let session;
    try {
      const data = /** @type {{ path: string, data: Uint8Array }[]} */ (options.externalData ?? []);
      const paths = strings(
        koffi,
        data.map(({ path }) => path),
      );
      const buffers = BigUint64Array.from(data, ({ data: bytes }) => koffi.address(bytes));
      const sizes = BigUint64Array.from(data, ({ data: bytes }) => BigInt(bytes.length));
      if (data.length > 0) check(call.addExternalData(made, paths.pointers, buffers, sizes, data.length));
      session = result((place) => call.createSessionFromArray(env, model, model.length, made, place));
    } finally {
      call.releaseSessionOptions(made);
    }
    try {
      const inputNames = namesOf(session, "inputCount", "inputName");
      const outputNames = namesOf(session, "outputCount", "outputName");
      const outputTypes = outputNames.map((_, i) => outputType(session, i));
      return startSession(session, inputNames, outputNames, outputTypes);
    } catch (error) {
      call.releaseSession(session);
      throw error;
    }
  }

  /** @param {Pointer} session @param {string[]} inputNames @param {string[]} outputNames @param {{ type: string, dims: number[] }[]} outputTypes */
  function startSession(session, inputNames, outputNames, outputTypes) {
    const inputs = strings(koffi, inputNames);
    const outputs = strings(koffi, outputNames);
    let released = false;

    /** A value of the runtime over a tensor's memory. @param {OrtTensor} tensor */
    function toValue({ type, dims, data }) {
      const { byteLength } = /** @type {any} */ (data);
      const shape = BigInt64Array.from(dims, BigInt);
      const number = TYPES[type]?.[0];
      if (number === undefined) throw new Error(`tensors of ${type} don't cross`);
      return result((place) => call.createTensor(memory, data, byteLength, shape, dims.length, number, place));
    }

    return {
      outputNames,
      /** Memory that threads share is taken, too. */
      readsShared: true,
      /**
       * Outputs are those given, written in place, and new ones for the others.
       *
       * @param {Readonly<Record<string, OrtTensor>>} feeds
       * @param {Readonly<Record<string, OrtTensor | null>>} fetches
       * @returns {Promise<Record<string, OrtTensor>>}
       */
      async run(feeds, fetches) {
        if (released) throw new Error("the session was released");
        const given = inputNames.map((name) => {
          const tensor = feeds[name];
          if (tensor === undefined) throw new Error(`the input "${name}" lacks`);
          return tensor;
        });
        const results = outputNames.map((name, i) => {
          const { type, dims } = /** @type {{ type: string, dims: number[] }} */ (outputTypes[i]);
          const size = dims.reduce((a, b) => a * b, 1);
          return fetches[name] ?? new Tensor(type, new /** @type {any} */ (TYPES[type])[1](size), dims);
        });
        const values = new BigUint64Array(new ArrayBuffer((given.length + results.length) * POINTER_BYTES));
        try {
          [...given, ...results].forEach((tensor, i) => {
            values[i] = toValue(tensor);
          });
          const [n, m] = [given.length, results.length];
          const [from, to] = [values.subarray(0, n), values.subarray(n)];
          check(call.run(session, null, inputs.pointers, from, n, outputs.pointers, m, to));
        } finally {
          for (const value of values) if (value !== 0n) call.releaseValue(value);
        }
        return Object.fromEntries(outputNames.map((name, i) => [name, /** @type {OrtTensor} */ (results[i])]));
      },
      async release() {
        if (released) return;
        released = true;
        call.releaseSession(session);
      },
    };
  }

  return { create };
}
