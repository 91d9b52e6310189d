/** However a process ends that updates a state through the C API, it ends well. */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, expect, test } from "vitest";
import { createProgram, matmul, parameter, softmax, ZEROS } from "../../src/graph/index.js";
import { lowerProgram } from "../../src/onnx/lower-program.js";
import { encodeModel } from "../../src/onnx/model-proto.js";
import { koffiUrl } from "../../src/runtime/koffi.node.js";

const ROUNDS = 4;
const CHILD = fileURLToPath(new URL("../support/bound-child.mjs", import.meta.url));
const model = join(temporaryFolder(), "model.onnx");

beforeAll(async () => {
  const w = parameter({ name: "w", shape: [256, 256], dtype: "float32", init: ZEROS, trainable: true });
  let next = w;
  for (let i = 0; i < 20; i++) next = softmax(matmul(next, w), -1);
  await writeFile(model, encodeModel(lowerProgram(createProgram("step", {}, { w: next }), () => "input")));
});

test.each(["release", "leave", "exit", "terminate"])("a process that ends by way of %s ends with 0", async (way) => {
  for (let round = 0; round < ROUNDS; round++) {
    const { stderr } = await promisify(execFile)(process.execPath, [CHILD, model, koffiUrl() as string, way]);
    expect(stderr).toBe("");
  }
});
