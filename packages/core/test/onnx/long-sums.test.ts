/** Sums of millions of numbers, against float64: the runtime's own are wrong by up to a thousandth in WebAssembly. */
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import fc from "fast-check";
import * as ort from "onnxruntime-web";
import { describe, expect, test } from "vitest";
import * as g from "../../src/graph/index.js";
import type { OrtModule } from "../../src/runtime/create-engine.browser.js";
import { createEngine as createWebEngine } from "../../src/runtime/index.browser.js";
import { createEngine } from "../../src/runtime/index.js";
import { evaluate } from "../support/evaluate.js";

const { Tensor, input } = g;
const TOLERANCE = 2e-6;

/** Positive values, so that what is lost is lost in one direction and none has no relative error. */
function uniform(shape: readonly number[]): g.Tensor<"float32"> {
  const data = new Float32Array(g.sizeOf(shape));
  g.createRandom(7, shape.join("x")).uniform(data, 0.25, 1.25);
  return Tensor.float32(data, shape);
}

/** Of `groups` equal parts of the data, one behind the other. */
function sumsOf(data: Float32Array, groups: number, f: (value: number) => number): number[] {
  const size = data.length / groups;
  return Array.from({ length: groups }, (_, i) =>
    data.subarray(i * size, (i + 1) * size).reduce((sum, value) => sum + f(value), 0),
  );
}

const worstOf = (values: readonly number[], expected: readonly number[]) =>
  Math.max(...values.map((value, i) => Math.abs(value / (expected[i] as number) - 1)));

const ENGINES = {
  "onnxruntime-node": () => createEngine({ device: "cpu", threads: 1 }),
  WebAssembly: () => {
    ort.env.wasm.numThreads = 1;
    return createWebEngine({ device: "wasm", ort: ort as unknown as OrtModule });
  },
};

describe.each(Object.entries(ENGINES))("%s", (_, open) => {
  test.each<[name: string, shape: number[], axes: number[]]>([
    ["the groups of a picture", [1, 2, 16, 256, 256], [2, 3, 4]],
    ["a batch", [8, 3, 256, 256], [0, 1, 2, 3]],
    ["the weights of a convolution", [512, 512, 3, 3], [0, 1, 2, 3]],
    ["a batch whose last axis stays", [8, 256, 256, 1], [0, 1, 2]],
  ])("mean, sum and sum of squares of %s", async (_name, shape, axes) => {
    const x = uniform(shape);
    const data = x.toFloat32();
    const groups = shape.reduce((product, size, axis) => (axes.includes(axis) ? product : product * size), 1);
    const v = input("x", shape);
    const outputs = { mean: g.reduceMean(v, axes), sum: g.reduceSum(v, axes), squares: g.reduceSum(g.square(v), axes) };
    const engine = await open();
    const program = await engine.load(g.createProgram("sums", outputs), NO_WEIGHTS);
    const results = await program.run({ x });
    await engine.dispose();
    const valuesOf = (name: keyof typeof outputs) => [...(results[name] as g.Tensor).toFloat32()];
    const sums = sumsOf(data, groups, (value) => value);
    const squares = sumsOf(data, groups, (value) => value ** 2);
    const means = sums.map((sum) => (sum * groups) / data.length);
    expect(worstOf(valuesOf("mean"), means)).toBeLessThan(TOLERANCE);
    expect(worstOf(valuesOf("sum"), sums)).toBeLessThan(TOLERANCE);
    expect(worstOf(valuesOf("squares"), squares)).toBeLessThan(TOLERANCE);
  });

  test("any shape and axes", async () => {
    const engine = await open();
    const cases = fc.record({
      shape: fc.array(fc.integer({ min: 1, max: 24 }), { minLength: 2, maxLength: 5 }),
      reduced: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
      keepDims: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ shape, reduced, keepDims }) => {
        const axes = [...shape.keys()].filter((axis) => reduced[axis]);
        if (axes.length === 0) axes.push(shape.length - 1);
        const x = uniform(shape);
        const output = g.reduceMean(input("x", shape), axes, { keepDims });
        const program = await engine.load(g.createProgram("mean", { mean: output }), NO_WEIGHTS);
        const { mean } = await program.run({ x });
        await program.dispose();
        const kept = shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
        expect(mean?.shape).toEqual(keepDims ? kept : shape.filter((_size, axis) => !axes.includes(axis)));
        // Up to 16384 numbers are added up in one go, and a single axis always is.
        expect(worstOf([...(mean as g.Tensor).toFloat32()], evaluate(output, { x }).data)).toBeLessThan(1e-5);
      }),
      { numRuns: 40 },
    );
    await engine.dispose();
  });
});
