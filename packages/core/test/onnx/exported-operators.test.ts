/** Operators that composites become in exported files run in onnxruntime-web too, whose kernels are fewer than Node's. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { relativeError } from "@dcae/test-support/compare";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import * as ort from "onnxruntime-web";
import { expect, test } from "vitest";
import { writeOnnx } from "../../src/autoencoders/export-onnx.node.js";
import {
  add,
  createProgram,
  createRandom,
  createScope,
  gelu,
  geluTanh,
  inlineComposites,
  input,
  layerNorm,
  matmul,
  Tensor,
} from "../../src/graph/index.js";
import { toHalfPrecision } from "../../src/graph/rewrite/half-precision.js";
import { lowerProgram } from "../../src/onnx/index.js";
import { createEngine } from "../../src/runtime/index.js";
import { memoryWeights } from "../support/memory-weights.js";

const folder = temporaryFolder();
const [TOKENS, WIDTH] = [5, 8] as const;
const random = createRandom(3, 1);
const normal = (...shape: number[]) =>
  Tensor.float32(random.normal(new Float32Array(shape.reduce((product, size) => product * size, 1))), shape);

const weights = memoryWeights({
  "norm.weight": normal(WIDTH),
  "norm.bias": normal(WIDTH),
  "up.weight": normal(WIDTH, WIDTH),
  "down.weight": normal(WIDTH, WIDTH),
});

/** The parts of a transformer's block that are composites of this kind: norms with and without weights, both GELUs. */
function program() {
  const scope = createScope();
  const parameter = (name: string) => scope.parameter(name, weights.entries.get(name)!.shape);
  const x = input("x", [2, TOKENS, WIDTH]);
  const [weight, bias] = [parameter("norm.weight"), parameter("norm.bias")];
  const hidden = gelu(matmul(layerNorm(x, { axis: -1, eps: 1e-6, weight, bias }), parameter("up.weight")));
  const y = add(x, matmul(geluTanh(hidden), parameter("down.weight")));
  return createProgram("block", { y: layerNorm(y, { axis: -1, eps: 1e-6 }) });
}

test.each([
  ["float32", program(), 1e-5],
  ["float16", toHalfPrecision(program()), 5e-3],
] as const)("LayerNormalization and Gelu, %s", async (dtype, exported, tolerance) => {
  const types = lowerProgram(exported, () => "input").nodes.map(({ opType }) => opType);
  expect(types.filter((type) => ["LayerNormalization", "Gelu"].includes(type))).toHaveLength(4);
  const path = join(folder, `${dtype}.onnx`);
  await writeOnnx(exported, weights, path);
  const x = normal(2, TOKENS, WIDTH);

  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(readFileSync(path), { executionProviders: ["wasm"] });
  const { y } = await session.run({ x: new ort.Tensor("float32", x.toFloat32(), [...x.shape]) });
  await session.release();

  const engine = await createEngine({ device: "cpu", threads: 1 });
  const expected = await (await engine.load(inlineComposites(program()), weights)).run({ x });
  await engine.dispose();
  const actual = Tensor.float32(y!.data as Float32Array, [...y!.dims]);
  expect(relativeError(actual, expected.y!)).toBeLessThanOrEqual(tolerance);
});
