/** Sessions on the runtime's C API do what those of onnxruntime-node do, and leave outputs where they were told to put them. */
import { createRequire } from "node:module";
import { memoryWeights, NO_WEIGHTS } from "@dcae/test-support/weights";
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  add,
  createProgram,
  createRandom,
  gelu,
  input,
  matmul,
  mul,
  type Program,
  parameter,
  reduceMean,
  sub,
  Tensor,
  transpose,
  ZEROS,
} from "../../src/graph/index.js";
import { lowerProgram } from "../../src/onnx/lower-program.js";
import { encodeModel } from "../../src/onnx/model-proto.js";
import { koffiUrl, loadKoffi } from "../../src/runtime/koffi.node.js";
import { OnnxEngine } from "../../src/runtime/onnx-engine.js";
import { quietRuntime } from "../../src/runtime/quiet-runtime.node.js";
import { createWorkerSessionHost } from "../../src/runtime/worker-session-host.node.js";

const SIZE = 48;
const held = (name: string, shape: readonly number[] = [SIZE, SIZE], dtype: "float32" | "int32" = "float32") =>
  parameter({ name, shape, dtype, init: ZEROS, trainable: true });
const numbers = (stream: string, shape: readonly number[] = [SIZE, SIZE]) =>
  Tensor.float32(createRandom(3, stream).normal(new Float32Array(shape.reduce((a, b) => a * b, 1)), 0, 0.3), shape);

/** w moves along a product that reads it, m is an average of that, count counts; `frozen` stays. */
function program(): Program {
  const [w, m, count] = [held("w"), held("m"), held("count", [], "int32")];
  const y = gelu(matmul(matmul(input("x", [SIZE, SIZE]), w), held("frozen")));
  const g = matmul(transpose(y), w);
  const average = add(mul(m, 0.9), mul(g, 0.1));
  return createProgram("step", { loss: reduceMean(y) }, { w: sub(w, average), m: average, count: add(count, 1) });
}

/** What the module, which is plain JavaScript, gives. */
interface BoundSessions {
  create(
    model: Uint8Array,
    options: object,
  ): {
    readonly outputNames: readonly string[];
    run(
      feeds: Readonly<Record<string, OrtTensor>>,
      fetches: Readonly<Record<string, OrtTensor | null>>,
    ): Promise<Record<string, OrtTensor>>;
    release(): Promise<void>;
  };
}

const supported = process.platform === "linux" || process.platform === "darwin";
const OPTIONS = {
  enableCpuMemArena: true,
  enableMemPattern: false,
  graphOptimizationLevel: "all" as const,
  intraOpNumThreads: 1,
  logSeverityLevel: 3 as const,
};

describe.runIf(supported)("a session on the C API", () => {
  let ort: typeof import("onnxruntime-node");
  let bound: BoundSessions;
  beforeAll(async () => {
    await quietRuntime();
    ort = await import("onnxruntime-node");
    const { href } = new URL("../../src/runtime/bound-sessions.mjs", import.meta.url);
    const { openBoundSessions, runtimeLibrary } = await import(href);
    const library = runtimeLibrary(createRequire(import.meta.url).resolve("onnxruntime-node"));
    bound = openBoundSessions(await loadKoffi(), library, ort.Tensor);
  });

  /** The model with `frozen` in memory outside of it, as large weights are given. */
  function model() {
    const frozen = numbers("frozen");
    const bytes = encodeModel(
      lowerProgram(program(), ({ name }) =>
        name === "frozen" ? { location: "memory/0", offset: 0, byteLength: frozen.byteLength } : "input",
      ),
    );
    const externalData = [{ path: "memory/0", data: frozen.bytes }];
    return { bytes, options: { ...OPTIONS, executionProviders: ["cpu"], externalData } };
  }
  const wire = ({ dtype, data, shape }: Tensor): OrtTensor => new ort.Tensor(dtype as "float32", data as never, shape);
  const feeds = () => ({
    ...{ x: wire(numbers("x")), w: wire(numbers("w")), m: wire(numbers("m")) },
    count: wire(new Tensor("int32", Int32Array.of(7), [])),
  });
  const bytesOf = (tensor: OrtTensor | undefined) => {
    const { buffer, byteOffset, byteLength } = (tensor as OrtTensor).data as Float32Array;
    return Buffer.from(buffer, byteOffset, byteLength);
  };

  test("gives the bits of onnxruntime-node's", async () => {
    const { bytes, options } = model();
    const ours = bound.create(bytes, options);
    const theirs = await ort.InferenceSession.create(model().bytes, model().options as InferenceSession.SessionOptions);
    expect([...ours.outputNames].sort()).toEqual([...theirs.outputNames].sort());
    const none = Object.fromEntries(ours.outputNames.map((name) => [name, null]));
    const [a, b] = [await ours.run(feeds(), none), await theirs.run(feeds(), none)];
    for (const name of ours.outputNames) {
      expect(a[name]?.dims).toEqual(b[name]?.dims);
      expect(a[name]?.type).toBe(b[name]?.type);
      expect(bytesOf(a[name]).equals(bytesOf(b[name]))).toBe(true);
    }
    expect(a["update.count"]?.data[0]).toBe(8);
    await Promise.all([ours.release(), theirs.release()]);
  });

  test("writes into the memory that it is given, and answers with it", async () => {
    const { bytes, options } = model();
    const session = bound.create(bytes, options);
    const none = Object.fromEntries(session.outputNames.map((name) => [name, null]));
    const fresh = await session.run(feeds(), none);
    const place = wire(Tensor.zeros([SIZE, SIZE]));
    const given = await session.run(feeds(), { ...none, "update.w": place });
    expect(given["update.w"]).toBe(place);
    expect(bytesOf(place).equals(bytesOf(fresh["update.w"]))).toBe(true);
    expect(given["update.m"]).not.toBe(fresh["update.m"]);
    await session.release();
  });

  test("says what is wrong", async () => {
    expect(() => bound.create(new Uint8Array([1, 2, 3]), OPTIONS)).toThrow(/protobuf|model/i);
    const { bytes, options } = model();
    const session = bound.create(bytes, options);
    const { x: _, ...few } = feeds();
    await expect(session.run(few, {})).rejects.toThrow('the input "x" lacks');
    await expect(session.run({ ...feeds(), x: wire(numbers("x", [2, 2])) }, {})).rejects.toThrow(/invalid dimensions/i);
    await expect(
      session.run({ ...feeds(), x: wire(new Tensor("int32", new Int32Array(SIZE * SIZE), [SIZE, SIZE])) }, {}),
    ).rejects.toThrow(/data type/i);
    await session.run(feeds(), {});
    await session.release();
    await session.release();
    await expect(session.run(feeds(), {})).rejects.toThrow("the session was released");
  });
});

describe("a state", () => {
  let engine: OnnxEngine | undefined;
  afterEach(() => engine?.dispose());

  /** What three runs make of the state. */
  async function states(koffi: string | undefined, isPlaced = false) {
    engine = new OnnxEngine(createWorkerSessionHost(undefined, koffi), { device: "cpu", threads: 1 });
    const count = new Tensor("int32", Int32Array.of(0), []);
    const initial = { w: numbers("w"), m: numbers("m"), count };
    const state = await engine.createState(memoryWeights(Object.entries(initial)));
    const weights = memoryWeights([["frozen", numbers("frozen")]]);
    const places = [
      ["m", { offset: 16, shape: numbers("m").shape }] as const,
      ["w", { offset: 16 + SIZE * SIZE, shape: numbers("w").shape }] as const,
    ];
    const seen = isPlaced ? await state.place!(new Map(places), 16 + 2 * SIZE * SIZE) : undefined;
    const step = await engine.load(program(), weights, { state });
    for (let i = 0; i < 3; i++) await step.run({ x: numbers(`x${i}`) });
    const twice = await engine.load(createProgram("twice", { w2: mul(held("w"), 2) }), NO_WEIGHTS, { state });
    const { w2 } = await twice.run({});
    const all = await state.readAll();
    for (const [name, { offset }] of seen === undefined ? [] : places) {
      expect(seen?.slice(offset, offset + SIZE * SIZE), name).toEqual(all.get(name)?.toFloat32());
    }
    await engine.dispose();
    return [...["w", "m", "count"].map((name) => all.get(name)), w2].map((tensor) => Buffer.from(tensor?.bytes ?? []));
  }

  test("is updated to the same bits where koffi lacks, or doesn't load", async () => {
    expect(koffiUrl()).toBeDefined();
    const expected = await states(koffiUrl());
    expect(expected[0]?.length).toBe(4 * SIZE * SIZE);
    expect(await states("")).toEqual(expected);
    expect(await states("data:text/javascript,throw new Error('no build for this system')")).toEqual(expected);
    // In memory that the caller shares, too.
    for (const koffi of [koffiUrl(), ""]) expect(await states(koffi, true)).toEqual(expected);
  });
});
