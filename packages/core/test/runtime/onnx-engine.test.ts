/** The engine's contract: inputs are checked, failures are explained, the caller's event loop stays free. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { useEngine } from "@dcae/test-support/engine";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import { beforeAll, describe, expect, test } from "vitest";
import { openSafetensorsFile, writeSafetensorsFile } from "../../src/checkpoint/safetensors/file.node.js";
import { tensorEntries } from "../../src/checkpoint/safetensors/writer.js";
import type { Weights } from "../../src/checkpoint/weights.js";
import { CheckpointError, ConfigError, EngineError } from "../../src/errors.js";
import * as g from "../../src/graph/index.js";
import { bindWeights } from "../../src/runtime/bind-weights.js";
import { createEngine, type LoadedProgram, probeDevice } from "../../src/runtime/index.js";

const { Tensor } = g;
const folder = temporaryFolder();

const engine = useEngine();

function weightsOf(tensors: Readonly<Record<string, g.Tensor>>): Weights {
  const entries = Object.entries(tensors).map(([name, tensor]) => {
    return [name, { name, dtype: tensor.dtype, shape: tensor.shape, read: async () => tensor }] as const;
  });
  return { source: "memory", entries: new Map(entries), close: async () => {} };
}

/** y = W x with W [rows, 64] of the given parameter. */
function matrixProgram(rows: number): g.Program {
  const w = g.createScope().parameter("w", [rows, 64]);
  return g.createProgram("multiply", { y: g.matmul(w, g.input("x", [64, 1])) });
}
const counting = (rows: number) =>
  Tensor.float32(
    Float32Array.from({ length: rows * 64 }, (_, i) => i % 7),
    [rows, 64],
  );

describe("weights", () => {
  test.each(["float32", "float16", "bfloat16", "float64"] as const)(
    "stored as %s give the same result",
    async (dtype) => {
      const path = join(folder, `${dtype}.safetensors`);
      await writeSafetensorsFile(path, tensorEntries([["w", counting(64).cast(dtype)]]));
      const weights = await openSafetensorsFile(path);
      const program = await engine.load(matrixProgram(64), weights);
      const { y } = await program.run({ x: Tensor.full([64, 1], 1) });
      const expected = Array.from({ length: 64 }, (_, row) => {
        const values = counting(64).row(row).toFloat32();
        return values.reduce((sum, value) => sum + value, 0);
      });
      expect(Array.from(y?.data as Float32Array)).toEqual(expected);
      await program.dispose();
      await weights.close();
    },
  );

  test("of a file are referenced where they lie, at any offset that is a multiple of the element size", async () => {
    const path = join(folder, "referenced.safetensors");
    // A small tensor first, so that the large one doesn't start at a round offset.
    await writeSafetensorsFile(
      path,
      tensorEntries([
        ["w", counting(64)],
        ["a", Tensor.full([3], 1)],
      ]),
    );
    const weights = await openSafetensorsFile(path);
    const bound = await bindWeights(matrixProgram(64), weights, async (file) => file);
    expect(bound.buffers.size).toBe(0);
    expect(bound.bindings.get("w")).toMatchObject({ location: "referenced.safetensors", byteLength: 64 * 64 * 4 });
    await weights.close();
  });

  test("in memory stay the caller's: loading twice works and changes nothing", async () => {
    const w = counting(64);
    const weights = weightsOf({ w });
    for (let i = 0; i < 2; i++) await (await engine.load(matrixProgram(64), weights)).dispose();
    expect(w.data).toEqual(counting(64).data);
  });

  test("that lack or don't fit are refused by name", async () => {
    await expect(engine.load(matrixProgram(4), NO_WEIGHTS)).rejects.toThrow(/no tensor "w"/);
    const wrong = engine.load(matrixProgram(4), weightsOf({ w: counting(5) }));
    await expect(wrong).rejects.toBeInstanceOf(CheckpointError);
    await expect(wrong).rejects.toThrow("[5, 64], the model needs [4, 64]");
  });

  test("whose file shrank after it was opened give an error, not a crash", async () => {
    const path = join(folder, "shrunk.safetensors");
    await writeSafetensorsFile(path, tensorEntries([["w", counting(64)]]));
    const weights = await openSafetensorsFile(path);
    writeFileSync(path, "short");
    await expect(engine.load(matrixProgram(64), weights)).rejects.toBeInstanceOf(EngineError);
    await weights.close();
  });
});

describe("programs", () => {
  let program: LoadedProgram;
  beforeAll(async () => {
    program = await engine.load(matrixProgram(4), weightsOf({ w: counting(4) }));
  });

  test.each([
    ["missing", {}, 'needs an input "x"'],
    ["unknown", { x: Tensor.zeros([64, 1]), z: Tensor.zeros([1]) }, 'no input "z"'],
    ["of another shape", { x: Tensor.zeros([64, 2]) }, "[64, 1] float32, got [64, 2] float32"],
    ["of another dtype", { x: Tensor.zeros([64, 1], "int32") }, "got [64, 1] int32"],
  ])("an input that is %s", async (_, inputs, message) => {
    await expect(program.run(inputs)).rejects.toThrow(message);
  });

  test("views are taken as what they show", async () => {
    const x = Tensor.float32(
      Float32Array.from({ length: 128 }, (_, i) => i),
      [64, 2],
    ).slice([undefined, { stop: 1 }]);
    const { y } = await program.run({ x });
    const copy = Tensor.float32(x.toFloat32(), [64, 1]);
    expect(y?.data).toEqual((await program.run({ x: copy })).y?.data);
  });

  test("runs that are started at once don't mix", async () => {
    const inputs = [1, 2, 3, 4, 5].map((value) => Tensor.full([64, 1], value));
    const results = await Promise.all(inputs.map((x) => program.run({ x })));
    const [one] = results;
    results.forEach(({ y }, i) => {
      expect(Array.from(y?.data as Float32Array)).toEqual(Array.from(one?.y?.data as Float32Array, (v) => v * (i + 1)));
    });
  });

  test("a disposed program says so", async () => {
    const short = await engine.load(matrixProgram(2), weightsOf({ w: counting(2) }));
    await short.dispose();
    await short.dispose();
    await expect(short.run({ x: Tensor.zeros([64, 1]) })).rejects.toThrow("disposed");
  });
});

test("the event loop turns while a program loads and runs", async () => {
  const size = 768;
  const w = g.createScope().parameter("w", [size, size]);
  let y = g.input("x", [size, size]);
  for (let i = 0; i < 24; i++) y = g.mul(g.matmul(w, y), 1 / size);
  const weights = weightsOf({ w: Tensor.full([size, size], 1) });
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const program = await engine.load(g.createProgram("long", { y }), weights);
  const before = turns;
  await program.run({ x: Tensor.full([size, size], 1) });
  clearInterval(timer);
  // 24 products of 768^3 take far longer than a few milliseconds on any machine; a blocked loop would turn once.
  expect(turns - before).toBeGreaterThan(5);
  await program.dispose();
});

describe("options", () => {
  test("that are unknown are refused", async () => {
    await expect(createEngine({ device: "gpu" as never })).rejects.toBeInstanceOf(ConfigError);
    await expect(createEngine({ dtype: "int4" as never })).rejects.toBeInstanceOf(ConfigError);
    await expect(createEngine({ device: "cpu", threads: 0 })).rejects.toBeInstanceOf(ConfigError);
  });

  test("a device that doesn't work here is an error with the next step, never another device", async () => {
    // Core ML and DirectML can't both exist on one platform.
    const foreign = process.platform === "darwin" ? "dml" : "coreml";
    const error = await createEngine({ device: foreign }).catch((reason) => reason);
    expect(error).toBeInstanceOf(EngineError);
    expect(error.hint).toContain(foreign === "dml" ? "Windows" : "macOS");
    expect(await probeDevice(foreign)).toBeTypeOf("string");
    expect(await probeDevice("cpu")).toBeUndefined();
  });

  test("a disposed engine says so", async () => {
    const short = await createEngine({ device: "cpu", threads: 1 });
    await short.dispose();
    await expect(short.load(matrixProgram(2), NO_WEIGHTS)).rejects.toThrow("disposed");
  });
});
