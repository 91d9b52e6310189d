/** Convolutions in the runtime's blocked layout against the reference kernels, and when they take it. */
import { useEngine } from "@dcae/test-support/engine";
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Weights } from "../../src/checkpoint/weights.js";
import {
  add,
  conv2d,
  createProgram,
  createRandom,
  input,
  mul,
  parameter,
  reduceSum,
  reshape,
  sizeOf,
  Tensor,
  type Value,
  ZEROS,
} from "../../src/graph/index.js";
import { lowerProgram } from "../../src/onnx/index.js";
import { createEngine } from "../../src/runtime/index.js";
import { evaluate } from "../support/evaluate.js";

const engine = useEngine();

const random = (seed: number, shape: readonly number[]) =>
  Tensor.float32(createRandom(seed, 5).uniform(new Float32Array(sizeOf(shape)), -1, 1), shape);
const holding = (weight: Tensor): Weights => ({
  ...NO_WEIGHTS,
  entries: new Map([
    ["weight", { name: "weight", dtype: weight.dtype, shape: weight.shape, read: async () => weight }],
  ]),
});
const weightOf = (shape: readonly number[]) =>
  parameter({ name: "weight", shape, dtype: "float32", init: ZEROS, trainable: true });

/** Runs `output` with the parameter "weight" in a state, as training does, and compares. */
async function check(output: Value, weight: Tensor, inputs: Readonly<Record<string, Tensor>>): Promise<void> {
  const state = await engine.createState(holding(weight));
  const loaded = await engine.load(createProgram("blocked", { output }), NO_WEIGHTS, { state });
  const { output: actual } = await loaded.run(inputs);
  await Promise.all([loaded.dispose(), state.dispose()]);
  const expected = evaluate(output, { ...inputs, weight });
  expect(actual?.shape).toEqual(expected.shape);
  const scale = Math.max(...expected.data.map(Math.abs));
  const worst = Math.max(
    ...(actual as Tensor<"float32">).data.map((v, i) => Math.abs(v - (expected.data[i] as number))),
  );
  expect(worst / scale).toBeLessThanOrEqual(2e-6);
}

const blockedNodes = (output: Value, opType: string, weights: "input" | Tensor = "input") =>
  lowerProgram(createProgram("nodes", { output }), () => weights, { block: 16 }).nodes.filter(
    (node) => node.domain === "com.microsoft.nchwc" && node.opType === opType,
  ).length;

/** Channels in and out, with a single group or one per channel. */
const CHANNELS = [
  { channels: 16, out: 16, groups: 16 },
  { channels: 32, out: 32, groups: 32 },
  { channels: 16, out: 16, groups: 1 },
  { channels: 32, out: 48, groups: 1 },
  { channels: 3, out: 16, groups: 1 },
  { channels: 12, out: 32, groups: 1 },
  { channels: 16, out: 12, groups: 1 },
  { channels: 3, out: 4, groups: 1 },
];

test.each(CHANNELS)("$channels to $out channels in $groups groups", async ({ channels, out, groups }) => {
  const cases = fc.record({
    batch: fc.integer({ min: 1, max: 2 }),
    size: fc.tuple(fc.integer({ min: 5, max: 7 }), fc.integer({ min: 5, max: 7 })),
    kernel: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })),
    stride: fc.integer({ min: 1, max: 2 }),
    dilation: fc.integer({ min: 1, max: 2 }),
    padding: fc.tuple(fc.nat(2), fc.nat(2), fc.nat(2), fc.nat(2)),
    biased: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ batch, size, kernel, stride, dilation, padding, biased }) => {
      const [top, left, bottom, right] = padding;
      fc.pre(
        (kernel[0] - 1) * dilation < size[0] + top + bottom && (kernel[1] - 1) * dilation < size[1] + left + right,
      );
      fc.pre(kernel[0] * kernel[1] > 1);
      const [x, weight, bias] = [
        random(1, [batch, channels, ...size]),
        random(2, [out, channels / groups, ...kernel]),
        random(3, [out]),
      ];
      const output = conv2d(input("x", x.shape), weightOf(weight.shape), {
        stride,
        dilation,
        padding: { top, left, bottom, right },
        groups,
        bias: biased ? input("bias", [out]) : undefined,
      });
      expect(blockedNodes(output, "Conv")).toBe(1);
      await check(output, weight, biased ? { x, bias } : { x });
    }),
    { numRuns: 30, seed: 1 },
  );
});

test("a picture may be the filter and batches groups, without further changes of layout", async () => {
  const [x, weight, dy] = [random(1, [2, 32, 6, 5]), random(2, [32, 1, 3, 3]), random(3, [2, 32, 6, 5])];
  const [xValue, dyValue] = [input("x", x.shape), input("dy", dy.shape)];
  const weightValue = weightOf(weight.shape);
  const y = conv2d(xValue, weightValue, { padding: 1, groups: 32 });
  const taps = conv2d(reshape(xValue, [1, 64, 6, 5]), reshape(dyValue, [64, 1, 6, 5]), { padding: 1, groups: 64 });
  const chained = conv2d(y, weightValue, { padding: 1, groups: 32 });
  const output = add(reduceSum(mul(chained, dyValue)), reshape(taps, [2, 32, 3, 3]));
  // x, dy and the weight once each; y is in the layout already.
  expect(blockedNodes(output, "ReorderInput")).toBe(3);
  expect(blockedNodes(output, "Conv")).toBe(3);
  await check(output, weight, { x, dy });
});

test("what has no blocked form, and constant weights, stay as they are", () => {
  const x = input("x", [1, 32, 5, 5]);
  const depthwise = conv2d(x, weightOf([32, 1, 3, 3]), { groups: 32 });
  expect(blockedNodes(depthwise, "Conv")).toBe(1);
  expect(blockedNodes(depthwise, "Conv", random(1, [32, 1, 3, 3]))).toBe(0);
  expect(blockedNodes(conv2d(x, weightOf([32, 32, 3, 3])), "Conv")).toBe(1);
  expect(blockedNodes(conv2d(x, weightOf([32, 32, 1, 1])), "Conv")).toBe(0);
  expect(blockedNodes(conv2d(x, weightOf([5, 32, 3, 3])), "Conv")).toBe(0);
  expect(blockedNodes(conv2d(x, weightOf([32, 2, 3, 3]), { groups: 16 }), "Conv")).toBe(0);
  expect(blockedNodes(conv2d(x, weightOf([64, 1, 3, 3]), { groups: 32 }), "Conv")).toBe(0);
  const odd = conv2d(input("x", [1, 24, 5, 5]), weightOf([24, 1, 3, 3]), { groups: 24 });
  expect(blockedNodes(odd, "Conv")).toBe(0);
  const exported = lowerProgram(createProgram("exported", { depthwise }), () => "input");
  expect(exported.nodes.every(({ domain }) => domain === undefined)).toBe(true);
});

test("an engine can be told to do without", async () => {
  const weight = random(2, [16, 1, 3, 3]);
  const plain = await createEngine({ device: "cpu", threads: 1, form: { kind: "stateful", blocked: false } });
  const program = createProgram("plain", {
    y: conv2d(input("x", [1, 16, 6, 6]), weightOf(weight.shape), { groups: 16 }),
  });
  const outputs = await Promise.all(
    [engine, plain].map(async (each) => {
      const state = await each.createState(holding(weight));
      const loaded = await each.load(program, NO_WEIGHTS, { state });
      return (await loaded.run({ x: random(1, [1, 16, 6, 6]) })).y!.toFloat32();
    }),
  );
  await plain.dispose();
  const [blocked, expected] = outputs as [Float32Array, Float32Array];
  const worst = Math.max(...blocked.map((value, i) => Math.abs(value - (expected[i] as number))));
  expect(worst).toBeLessThan(1e-6);
});
