/** Weights of which some lie in a file as they are and some don't: ONNX Runtime takes one kind of external data or the other. */
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSafetensorsFile, writeSafetensorsFile } from "../../src/checkpoint/safetensors-file.node.js";
import { tensorEntries } from "../../src/checkpoint/safetensors-layout.js";
import type { Weights } from "../../src/checkpoint/weights.js";
import * as g from "../../src/graph/index.js";
import { bindWeights } from "../../src/runtime/bind-weights.js";
import { createEngine, type Engine } from "../../src/runtime/index.js";
import { temporaryFolder } from "../support/temporary-folder.js";

const { Tensor } = g;
const path = join(temporaryFolder(), "mixed.safetensors");
const locate = async (file: string) => file;

let engine: Engine;
let weights: Weights;
beforeAll(async () => {
  engine = await createEngine({ device: "cpu", threads: 1 });
  const stored = (value: number, dtype: g.DType) => Tensor.full([40, 40], value).cast(dtype);
  await writeSafetensorsFile(
    path,
    tensorEntries([
      ["plain", stored(2, "float32")],
      ["half", stored(3, "float16")],
    ]),
  );
  weights = await openSafetensorsFile(path);
});
afterAll(async () => {
  await weights.close();
  await engine.dispose();
});

/** y = plain x + half x */
function program(): g.Program {
  const scope = g.createScope();
  const x = g.input("x", [40, 1]);
  const [plain, half] = ["plain", "half"].map((name) => scope.parameter(name, [40, 40])) as [g.Value, g.Value];
  return g.createProgram("mixed", { y: g.add(g.matmul(plain, x), g.matmul(half, x)) });
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
    expect(bindings.get("half")).toBeInstanceOf(Tensor);
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
