/** Activation checkpointing: same gradients, less memory in the runtime. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { resBlock } from "@dcae/core/blocks";
import {
  createProgram,
  createRandom,
  createScope,
  input,
  type Program,
  reduceMean,
  sizeOf,
  square,
  sub,
  Tensor,
  type Value,
} from "@dcae/core/graph";
import { encodeModel, lowerProgram } from "@dcae/core/onnx";
import { createEngine } from "@dcae/core/runtime";
import { expect, test } from "vitest";
import { chooseCheckpoints, cutPoints, gradients, recomputation } from "../../src/autodiff/index.js";
import { completeWeights } from "../../src/step/index.js";
import { relativeError } from "../support/compare.js";
import { NO_WEIGHTS } from "../support/weights.js";

function stack(
  blocks: number,
  shape: readonly [number, number, number, number],
): { loss: Value; weights: Value[]; names: string[] } {
  const scope = createScope();
  const x = input("x", shape);
  let y: Value = x;
  for (let i = 0; i < blocks; i++) y = resBlock(scope.at(i), y, { norm: "trms2d", act: "silu" });
  const names = [...scope.parameters.keys()];
  const weights = names.map((name) => scope.parameter(name, scope.parameters.get(name)!.shape));
  return { loss: reduceMean(square(sub(y, x))), weights, names };
}

function gradientProgram(
  blocks: number,
  shape: readonly [number, number, number, number],
  checkpointed: boolean,
): Program {
  const { loss, weights, names } = stack(blocks, shape);
  const values = gradients(loss, weights, checkpointed ? { replay: recomputation(loss) } : {});
  return createProgram("g", { loss, ...Object.fromEntries(values.map((value, i) => [`gradient.${names[i]}`, value])) });
}

test("cuts are where a block's output carries everything on", () => {
  const { loss } = stack(5, [1, 4, 8, 8]);
  const cuts = cutPoints(loss).filter(({ op, shape }) => op === "add" && shape.length === 4 && shape[1] === 4);
  expect(cuts.length).toBeGreaterThanOrEqual(5);
  const chosen = chooseCheckpoints(stack(36, [1, 4, 8, 8]).loss);
  expect(chosen.length).toBeGreaterThanOrEqual(4);
  expect(chosen.length).toBeLessThanOrEqual(18);
});

test("gradients are the same numbers", async () => {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const shape = [2, 8, 12, 12] as const;
  const x = Tensor.float32(createRandom(1, 1).uniform(new Float32Array(sizeOf(shape)), -1, 1), shape);
  const programs = [false, true].map((checkpointed) => gradientProgram(9, shape, checkpointed));
  const results = [];
  for (const program of programs) {
    const loaded = await engine.load(program, completeWeights([program], NO_WEIGHTS, 3));
    results.push(await loaded.run({ x }));
  }
  const [plain, checkpointed] = results as [Record<string, Tensor>, Record<string, Tensor>];
  expect(Object.keys(plain).length).toBe(46);
  for (const [name, tensor] of Object.entries(plain)) {
    expect(relativeError(checkpointed[name]!, tensor), name).toBeLessThanOrEqual(1e-6);
  }
  await engine.dispose();
});

test("a checkpoint must belong to the forward pass", () => {
  const { loss } = stack(2, [1, 4, 8, 8]);
  expect(() => recomputation(loss, [cutPoints(stack(2, [1, 4, 8, 8]).loss)[3]!])).toThrow(/isn't part of the forward/);
});

test("peak memory falls", () => {
  const folder = mkdtempSync(join(tmpdir(), "dcae-memory-"));
  const runtime = pathToFileURL(
    createRequire(import.meta.resolve("../../../core/package.json")).resolve("onnxruntime-node"),
  );
  const script = fileURLToPath(new URL("../support/peak-memory.mjs", import.meta.url));
  const shape = [4, 32, 64, 64] as const;
  function measure(program: Program): { bytes: number; loss: number } {
    const file = join(folder, "model.onnx");
    const inputs: Record<string, readonly number[]> = { x: shape };
    writeFileSync(
      file,
      encodeModel(
        lowerProgram(program, ({ name, shape: size }) => {
          inputs[name] = size;
          return "input";
        }),
      ),
    );
    return JSON.parse(
      execFileSync(process.execPath, [script, runtime.href, file, JSON.stringify(inputs)], { encoding: "utf8" }),
    );
  }
  try {
    const idle = measure(createProgram("idle", { loss: reduceMean(input("x", shape)) }));
    const plain = measure(gradientProgram(24, shape, false));
    const checkpointed = measure(gradientProgram(24, shape, true));
    expect(checkpointed.loss).toBe(plain.loss);
    // What training adds to a process that only loaded the runtime.
    const share = (checkpointed.bytes - idle.bytes) / (plain.bytes - idle.bytes);
    expect(share).toBeLessThan(0.5);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
