/** TfjsEngine keeps the contract of engines: state, errors, memory. */
import { conv } from "@dcae/core/blocks";
import {
  add,
  constant,
  createProgram,
  createRandom,
  div,
  input,
  parameter,
  reduceMean,
  reduceSum,
  sizeOf,
  square,
  sub,
  Tensor,
  ZEROS,
} from "@dcae/core/graph";
import { createEngine } from "@dcae/core/runtime";
import { expectClose } from "@dcae/test-support/compare";
import { memoryWeights, NO_WEIGHTS } from "@dcae/test-support/weights";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { completeWeights, createTrainingState } from "../../src/step/training-state.js";
import { gradientStep, stepProgram } from "../../src/step/training-step.js";
import { createTfjsEngine, type TfjsEngine } from "../../src/tfjs/tfjs-engine.js";

let engine: TfjsEngine;
beforeAll(async () => {
  engine = await createTfjsEngine({ backend: "cpu" });
});
afterAll(() => engine.dispose());

const held = (name: string) => parameter({ name, shape: [2], dtype: "float32", init: ZEROS, trainable: true });

test("says what it is", () => {
  expect([engine.name, engine.device]).toEqual(["tfjs cpu", "cpu"]);
});

test("state stays, is read on demand, and mixes with constants", async () => {
  const state = await engine.createState(memoryWeights([["a", Tensor.from([1, 2])]]));
  const a = held("a");
  const program = createProgram("step", { sum: reduceSum(a) }, { a: div(add(a, input("x", [2])), held("b")) });
  const weights = memoryWeights([["b", Tensor.from([2, 2])]]);
  const step = await engine.load(program, weights, { state });
  const sums = [];
  for (let i = 0; i < 3; i++) sums.push((await step.run({ x: Tensor.from([1, 0]) })).sum!.at());
  expect(sums).toEqual([3, 2, 1.5]);
  expect((await state.read("a")).toNested()).toEqual([1, 0.25]);
  await expect(state.write({ a: Tensor.from([1]) })).rejects.toThrow(/holds "a" as \[2\], got \[1\]/);
  await expect(state.read("z")).rejects.toThrow(/holds no "z"/);
  await state.dispose();
  await expect(step.run({ x: Tensor.from([1, 0]) })).rejects.toThrow(/was disposed/);
});

test("what can't be loaded leaves no tensors", async () => {
  const before = tf.memory().numTensors;
  const program = createProgram("p", { y: add(add(held("a"), constant(Tensor.from([1, 2]))), held("b")) });
  const weights = memoryWeights([["a", Tensor.from([1, 2])]]);
  await expect(engine.load(program, weights)).rejects.toThrow(/there is no tensor "b"/);
  const broken = { name: "b", shape: [2], dtype: "float32" as const };
  const read = () => Promise.reject(new Error("the disk is gone"));
  const unreadable = { ...weights, entries: new Map([...weights.entries, ["b", { ...broken, read }]]) };
  await expect(engine.load(program, unreadable)).rejects.toThrow("the disk is gone");
  await expect(engine.createState(unreadable)).rejects.toThrow("the disk is gone");
  expect(tf.memory().numTensors).toBe(before);
});

test("disposed while it loads, or before", async () => {
  const before = tf.memory().numTensors;
  const other = await createTfjsEngine({ backend: "cpu" });
  const program = createProgram("p", { y: add(held("a"), constant(Tensor.from([1, 2]))) });
  const weights = memoryWeights([["a", Tensor.from([1, 2])]]);
  const loading = [other.load(program, weights), other.createState(weights)].map((work) =>
    expect(work).rejects.toThrow(/the engine was disposed/),
  );
  await other.dispose();
  await Promise.all(loading);
  await expect(other.load(program, weights)).rejects.toThrow(/the engine was disposed/);
  await expect(other.createState(weights)).rejects.toThrow(/the engine was disposed/);
  expect(tf.memory().numTensors).toBe(before);
});

test("wrong requests are refused", async () => {
  const program = createProgram("p", { y: add(held("a"), input("x", [2])) });
  await expect(engine.load(program, NO_WEIGHTS)).rejects.toThrow(/there is no tensor "a"/);
  const loaded = await engine.load(program, memoryWeights([["a", Tensor.from([1, 2])]]));
  await expect(loaded.run({})).rejects.toThrow(/needs an input "x"/);
  await expect(loaded.run({ x: Tensor.from([1]) })).rejects.toThrow(/needs "x" as \[2\] float32, got \[1\]/);
  const lost = createProgram("lost", {}, { a: add(held("a"), 1) });
  await expect(engine.load(lost, NO_WEIGHTS)).rejects.toThrow(/no state holds it/);
  const double = createProgram("double", { y: input("x", [2], "float64") });
  const wide = await engine.load(double, NO_WEIGHTS);
  await expect(wide.run({ x: Tensor.from([1, 2]).cast("float64") })).rejects.toThrow(/tfjs has no float64/);
});

test("backends that aren't there say what to install", async () => {
  await expect(createTfjsEngine({ backend: "tensorflow-gpu" })).rejects.toMatchObject({
    message: expect.stringMatching(/doesn't load here \(tensorflow-gpu: /),
    hint: "Install it: npm install @tensorflow/tfjs-node-gpu",
  });
  await expect(createTfjsEngine({ backend: "quantum" as never })).rejects.toThrow(/"quantum" is unknown/);
});

test("a training step makes the same updates as on ONNX Runtime, and leaks nothing", async () => {
  const shape = [2, 3, 8, 8];
  const program = stepProgram(
    gradientStep(
      (scope) => {
        const x = input("x", shape);
        const hidden = conv(scope.at("first"), x, { outChannels: 6, stride: 2 });
        return {
          loss: reduceMean(square(sub(conv(scope.at("second"), hidden, { outChannels: 12 }), 0.5))),
          metrics: {},
        };
      },
      () => true,
    ),
    {
      name: "test",
      kind: "adamw",
      schedule: { kind: "cosine", lr: 0.01, maxSteps: 20 },
      ...{ clipNorm: 0.1, weightDecay: 0.1, eps: 1e-4 },
      averages: [{ decay: 0.99, warmupSteps: 3 }],
    },
  );
  const weights = completeWeights([program], NO_WEIGHTS, 1);
  const onnx = await createEngine({ device: "cpu", threads: 1 });
  const states = [];
  const counts: number[] = [];
  for (const one of [onnx, engine]) {
    const state = await createTrainingState(one, [program], weights);
    const loaded = await one.load(program, weights, { state });
    for (let step = 0; step < 3; step++) {
      await loaded.run({ x: Tensor.float32(createRandom(step, 1).normal(new Float32Array(sizeOf(shape))), shape) });
      counts.push(tf.memory().numTensors);
    }
    states.push(await state.readAll());
  }
  const [expected, actual] = states as [Map<string, Tensor>, Map<string, Tensor>];
  for (const [name, tensor] of expected) expectClose(actual.get(name)!, tensor, 1e-4, name);
  expect(counts[5]).toBe(counts[4]);
  await onnx.dispose();
});
