/** Compositions that ONNX Runtime is meant to recognize and compute as one operator, read off the model that it makes of them. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createProgram, gelu, geluTanh, input, neg, type Value } from "../../src/graph/index.js";
import { encodeModel, lowerProgram } from "../../src/onnx/index.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dcae-forms-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** The runtime's own form of a function in the middle of a graph, as text with the names of operators in it. */
async function runtimeForm(name: string, y: (x: Value) => Value): Promise<string> {
  const program = createProgram("form", { y: neg(y(neg(input("x", [2, 3, 8])))) });
  const path = join(folder, `${name}.onnx`);
  const session = await ort.InferenceSession.create(encodeModel(lowerProgram(program, () => "input")), {
    executionProviders: ["cpu"],
    graphOptimizationLevel: "extended",
    logSeverityLevel: 3,
    optimizedModelFilePath: path,
  });
  await session.release();
  return (await readFile(path)).toString("latin1");
}

test.each([
  ["gelu", gelu, "Gelu", "Erf"],
  ["geluTanh", geluTanh, "FastGelu", "Tanh"],
] as const)("%s", async (name, y, whole, part) => {
  const form = await runtimeForm(name, y);
  expect(form).toContain(whole);
  expect(form).not.toContain(part);
});
