/** Weights of which some lie in a file as they are and some don't: ONNX Runtime takes one kind of external data or the other. */
import { basename, dirname, join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSafetensorsFile, writeSafetensorsFile } from "../../src/checkpoint/safetensors/file.node.js";
import { tensorEntries } from "../../src/checkpoint/safetensors/writer.js";
import type { Weights } from "../../src/checkpoint/weights.js";
import * as g from "../../src/graph/index.js";
import { bindWeights } from "../../src/runtime/bind-weights.js";
import { createEngine, type Engine } from "../../src/runtime/index.js";

const { Tensor } = g;
const path = join(temporaryFolder(), "mixed.safetensors");
const locate = async (file: string) => file;

let engine: Engine;
let weights: Weights;
beforeAll(async () => {
  engine = await createEngine({ device: "cpu", threads: 1 });
  const stored = (value: number, dtype: g.DType, side = 40) => Tensor.full([side, side], value).cast(dtype);
  await writeSafetensorsFile(
    path,
    tensorEntries([
      ["plain", stored(2, "float32")],
      ["double", stored(3, "float64")],
      ["half", stored(4, "float16", 64)],
      ["brain", stored(5, "bfloat16", 64)],
    ]),
  );
  weights = await openSafetensorsFile(path);
});
afterAll(async () => {
  await weights.close();
  await engine.dispose();
});

/** y = plain x + double x */
function program(): g.Program {
  const scope = g.createScope();
  const x = g.input("x", [40, 1]);
  const [plain, double] = ["plain", "double"].map((name) => scope.parameter(name, [40, 40])) as [g.Value, g.Value];
  return g.createProgram("mixed", { y: g.add(g.matmul(plain, x), g.matmul(double, x)) });
}

describe("weights that lie in a file in part", () => {
  test("run", async () => {
    const loaded = await engine.load(program(), weights);
    const { y } = await loaded.run({ x: Tensor.full([40, 1], 1) });
    expect(Array.from(y?.toFloat32() ?? [])).toEqual(new Array(40).fill(200));
    await loaded.dispose();
  });

  test("a few others are stored in the model", async () => {
    const { bindings, buffers, folder } = await bindWeights(program(), weights, locate);
    expect(bindings.get("plain")).toMatchObject({ location: basename(path) });
    expect(bindings.get("double")).toBeInstanceOf(Tensor);
    expect(buffers.size).toBe(0);
    expect(folder).toBe(dirname(path));
  });

  test("with many others everything is read", async () => {
    const { bindings, buffers, folder } = await bindWeights(program(), weights, locate, new Set(), 6399);
    expect(buffers.size).toBe(2);
    expect(bindings.get("plain")).toMatchObject({ location: expect.stringMatching(/^memory/), byteLength: 6400 });
    expect(folder).toBeUndefined();
  });
});

test.each([
  ["half", "float16", 4],
  ["brain", "bfloat16", 5],
] as const)("half precision is referenced where it lies, and widened: %s", async (name, dtype, value) => {
  const w = g.createScope().parameter(name, [64, 64]);
  const narrow = g.createProgram("narrow", { y: g.matmul(w, g.input("x", [64, 1])) });
  const { bindings, buffers } = await bindWeights(narrow, weights, locate);
  expect(bindings.get(name)).toMatchObject({ location: basename(path), byteLength: 8192, storedAs: dtype });
  expect(buffers.size).toBe(0);
  const loaded = await engine.load(narrow, weights);
  const { y } = await loaded.run({ x: Tensor.full([64, 1], 1) });
  expect(Array.from(y?.toFloat32() ?? [])).toEqual(new Array(64).fill(64 * value));
  await loaded.dispose();
});
