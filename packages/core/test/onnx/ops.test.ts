/** Every op on ONNX Runtime against the reference kernels, at fixed and at random shapes. */
import { relativeError } from "@dcae/test-support/compare";
import { useEngine } from "@dcae/test-support/engine";
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as g from "../../src/graph/index.js";
import { lowerProgram } from "../../src/onnx/lower-program.js";
import { encodeModel } from "../../src/onnx/model-proto.js";
import { createWorkerSessionHost } from "../../src/runtime/worker-session-host.node.js";
import { evaluate } from "../support/evaluate.js";

const { Tensor, input } = g;
type Value = g.Value;

const engine = useEngine();

function random(shape: readonly number[], low = -2, high = 2): g.Tensor<"float32"> {
  const data = new Float32Array(g.sizeOf(shape));
  g.createRandom(7, shape.join("x")).uniform(data);
  return Tensor.float32(
    data.map((u) => low + u * (high - low)),
    shape,
  );
}

async function check(output: Value, inputs: Readonly<Record<string, g.Tensor>>, tolerance = 2e-6): Promise<void> {
  const program = await engine.load(g.createProgram("op", { output }), NO_WEIGHTS);
  const { output: actual } = await program.run(inputs);
  await program.dispose();
  const expected = evaluate(output, inputs);
  expect(actual?.shape).toEqual(expected.shape);
  expect(actual?.dtype).toBe(output.dtype);
  const scale = Math.max(1, ...expected.data.map(Math.abs));
  const values = Array.from((actual as g.Tensor).data as ArrayLike<number | bigint>, Number);
  const worst = Math.max(0, ...values.map((value, i) => Math.abs(value - (expected.data[i] as number))));
  expect(worst / scale).toBeLessThanOrEqual(tolerance);
}

const x = input("x", [2, 4, 5, 6]);
const y = input("y", [4, 1, 6]);
const xs = { x: random([2, 4, 5, 6]) };
const xy = { ...xs, y: random([4, 1, 6]) };
const positive = { x: random([2, 4, 5, 6], 0.1, 3) };

describe("elementwise", () => {
  test.each<[string, (x: Value) => Value, boolean?]>([
    ["neg", g.neg],
    ["abs", g.abs],
    ["sign", g.sign],
    ["exp", g.exp],
    ["log", g.log, true],
    ["sqrt", g.sqrt, true],
    ["sin", g.sin],
    ["cos", g.cos],
    ["tanh", g.tanh],
    ["sigmoid", g.sigmoid],
    ["erf", g.erf],
    ["relu", g.relu],
    ["sumOverRanks", (v) => g.build("sumOverRanks", [v], { ranks: 1 })],
    ["mish", g.mish],
    ["hardSwish", g.hardSwish],
    ["pow", (v) => g.pow(v, 1.5), true],
    ["cast", (v) => g.cast(g.mul(v, 10), "int32")],
    ["clamp", (v) => g.clamp(v, -0.5, 1)],
    ["standardize", (v) => g.standardize(v, [1, 3], 1e-5)],
  ])("%s", (_, op, needsPositive) => check(op(x), needsPositive ? positive : xs));

  test.each<[string, (a: Value, b: Value) => Value]>([
    ["add", g.add],
    ["sub", g.sub],
    ["mul", g.mul],
    ["div", g.div],
    ["maximum", g.maximum],
    ["minimum", g.minimum],
    ["greater", g.greater],
    ["less", g.less],
    ["equal", (a, b) => g.equal(g.relu(a), g.relu(g.mul(b, 0)))],
    ["where", (a, b) => g.where(g.greater(a, b), a, g.mul(b, 2))],
  ])("%s broadcasts", (_, op) => check(op(x, y), xy));
});

describe("reductions", () => {
  test.each<[string, Value]>([
    ["sum of all", g.reduceSum(x)],
    ["mean over two axes", g.reduceMean(x, [1, 3])],
    ["max, kept", g.reduceMax(x, -1, { keepDims: true })],
    ["no axes", g.reduceSum(x, [])],
    ["softmax", g.softmax(x, 1)],
  ])("%s", (_, value) => check(value, xs));
});

describe("layout", () => {
  test.each<[string, Value]>([
    ["reshape", g.reshape(x, [4, -1, 3])],
    ["transpose", g.transpose(x, [2, 0, 3, 1])],
    ["expand", g.expand(g.reshape(g.slice(x, 3, 0, 1), [2, 4, 5, 1]), [3, 2, 4, 5, 2])],
    ["slice with a step", g.slice(x, 3, 1, 6, 2)],
    ["split", g.concat(g.split(x, 1, [1, 3]).reverse(), 1)],
    ["pad constant", g.pad(x, { 1: [1, 0], 3: [2, 1] }, "constant", 0.5)],
    ["pad reflect", g.pad(x, { 2: [2, 3], 3: [1, 0] }, "reflect")],
    ["pad edge", g.pad(x, { 2: [2, 3], 3: [1, 4] }, "edge")],
    ["pixelShuffle", g.pixelShuffle(x, 2)],
    ["pixelUnshuffle", g.pixelUnshuffle(g.slice(x, 2, 0, 4), 2)],
    ["upsampleNearest2d", g.upsampleNearest2d(x, 3)],
    ["repeatInterleave", g.repeatInterleave(x, 1, 3)],
  ])("%s", (_, value) => check(value, xs));

  test("gather", async () => {
    const indices = new Tensor("int64", BigInt64Array.of(3n, 0n, 3n, 1n), [2, 2]);
    await check(g.gather(x, input("i", [2, 2], "int64"), 1), { ...xs, i: indices });
  });
});

describe("sizes that are known at run time", () => {
  const [n, h] = [g.symbol("n"), g.symbol("h", 2)];
  /** Runs `make(x)` with x [n, 1, h, 3] at the size [4, 1, 6, 3], and computes it at that size alone. */
  async function checkDynamic(make: (x: Value) => Value): Promise<void> {
    const tensor = random([4, 1, 6, 3]);
    const model = encodeModel(
      lowerProgram(g.createProgram("dynamic", { y: make(input("x", [n, 1, h, 3])) }), () => "input"),
    );
    const host = createWorkerSessionHost();
    try {
      const session = await host.createSession(model, { device: "cpu", externalBuffers: new Map() });
      const y = (await session.run(new Map([["x", tensor]]))).get("y") as g.Tensor;
      const expected = evaluate(make(input("x", tensor.shape)), { x: tensor });
      expect(y.shape).toEqual(expected.shape);
      expect(relativeError(y, Tensor.float32(expected.data, expected.shape))).toBeLessThanOrEqual(1e-6);
    } finally {
      await host.close();
    }
  }
  const like = (x: Value, axis: number) => x.shape[axis] as g.Dim;
  const one = g.constant(Tensor.float32([2], [1]));

  test.each<[string, (x: Value) => Value]>([
    ["expand to one of them", (x) => g.mul(g.expand(one, [like(x, 0), 1, 1, 1]), x)],
    ["expand to one, behind others", (x) => g.mul(g.expand(one, [5, like(x, 2), 1]), x)],
    ["expand to two", (x) => g.mul(g.expand(one, [like(x, 0), 1, like(x, 2), 3]), x)],
    ["expand one and keep the other", (x) => g.expand(x, [like(x, 0), 2, like(x, 2), 3])],
    ["reshape with one", (x) => g.reshape(x, [like(x, 0), g.dimMultiply(like(x, 2), 3)])],
    ["reshape into their product", (x) => g.reshape(x, [g.dimMultiply(like(x, 0), like(x, 2)), 3])],
    ["pixelUnshuffle", (x) => g.pixelUnshuffle(g.expand(g.slice(x, 3, 0, 1), [like(x, 0), 1, like(x, 2), 4]), 2)],
    ["repeatInterleave", (x) => g.repeatInterleave(x, 0, 2)],
    ["filterBank", (x) => g.filterBank(x, g.constant(Tensor.float32([1, 2], [1, 2])), { axis: 3 })],
  ])("%s", (_, make) => checkDynamic(make));
});

test.each<[string, Value, number[]]>([
  ["reshape", g.reshape(input("e", [2, 0, 3]), [0, 5]), [0, 5]],
  ["reshape of one axis", g.reshape(input("e", [2, 0, 3]), [2, 3, 0]), [2, 3, 0]],
  ["expand", g.expand(g.reshape(input("e", [2, 0, 3]), [2, 0, 1, 3]), [2, 0, 4, 3]), [2, 0, 4, 3]],
  ["sum", g.reduceSum(input("e", [2, 0, 3]), 1), [2, 3]],
])("tensors without elements: %s", async (_, value, shape) => {
  expect(value.shape).toEqual(shape);
  await check(value, { e: Tensor.zeros([2, 0, 3]) });
});

describe("linear", () => {
  test("matmul broadcasts its batch", async () => {
    const value = g.matmul(input("a", [3, 1, 4, 5]), input("b", [2, 5, 6]));
    await check(value, { a: random([3, 1, 4, 5]), b: random([2, 5, 6]) }, 1e-5);
  });

  test("random convolutions", async () => {
    const small = fc.integer({ min: 1, max: 3 });
    const convolution = fc.record({
      groups: fc.constantFrom(1, 2),
      inPerGroup: small,
      outPerGroup: small,
      kernel: fc.tuple(small, small),
      stride: fc.tuple(small, small),
      dilation: fc.tuple(fc.constantFrom(1, 2), fc.constantFrom(1, 2)),
      sides: fc.tuple(...[0, 1, 2, 3].map(() => fc.integer({ min: 0, max: 2 }))),
      bias: fc.boolean(),
      transposed: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(convolution, async (c) => {
        const [top, left, bottom, right] = c.sides as [number, number, number, number];
        const options = {
          groups: c.groups,
          stride: c.stride,
          dilation: c.dilation,
          padding: { top, left, bottom, right },
        };
        const inChannels = c.groups * c.inPerGroup;
        const outChannels = c.groups * c.outPerGroup;
        const [rows, columns] = c.transposed ? [inChannels, c.outPerGroup] : [outChannels, c.inPerGroup];
        const weightShape = [rows, columns, ...c.kernel];
        const [v, w, b] = [input("v", [2, inChannels, 7, 8]), input("w", weightShape), input("b", [outChannels])];
        const inputs = { v: random([2, inChannels, 7, 8]), w: random(weightShape) };
        if (c.transposed) await check(g.convTranspose2d(v, w, options), inputs, 1e-5);
        else if (c.bias)
          await check(g.conv2d(v, w, { ...options, bias: b }), { ...inputs, b: random([outChannels]) }, 1e-5);
        else await check(g.conv2d(v, w, options), inputs, 1e-5);
      }),
      { seed: 3, numRuns: 40 },
    );
  });

  test("filter banks along every axis", async () => {
    const bank = fc.record({
      axis: fc.integer({ min: 0, max: 3 }),
      stride: fc.integer({ min: 1, max: 3 }),
      before: fc.integer({ min: 0, max: 2 }),
      after: fc.integer({ min: 0, max: 3 }),
      count: fc.integer({ min: 1, max: 4 }),
      length: fc.integer({ min: 1, max: 2 }),
    });
    await fc.assert(
      fc.asyncProperty(bank, async ({ count, length, ...options }) => {
        const filters = random([count, length]);
        await check(g.filterBank(x, input("f", [count, length]), options), { ...xs, f: filters }, 1e-5);
      }),
      { seed: 5, numRuns: 30 },
    );
  });

  test("quantized numbers, and back, with one scale and with one per channel", async () => {
    const grid = fc.record({
      // Powers of two, so that ties are ties in float32 too.
      exponent: fc.integer({ min: -6, max: 0 }),
      zeroPoint: fc.integer({ min: 0, max: 100 }),
      dtype: fc.constantFrom("int8" as const, "uint8" as const),
      axis: fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(grid, async ({ exponent, zeroPoint, dtype, axis }) => {
        const count = axis === undefined ? 1 : (x.shape[axis] as number);
        const shape = axis === undefined ? [] : [count];
        const scale = g.constant(
          Tensor.float32(
            Array.from({ length: count }, (_, i) => 2 ** (exponent - i)),
            shape,
          ),
        );
        const q = g.quantizeLinear(x, scale, { axis: axis ?? 0, zeroPoint, dtype });
        // Multiples of 1/16 hit ties.
        const steps = xs.x.data.map((value) => Math.round(16 * value) / 16);
        const inputs = { x: Tensor.float32(steps, xs.x.shape) };
        await check(q, inputs, 0);
        await check(g.dequantizeLinear(q, scale, { axis: axis ?? 0, zeroPoint }), inputs, 0);
      }),
      { seed: 6, numRuns: 30 },
    );
  });

  test("random quantized convolutions", async () => {
    const small = fc.integer({ min: 1, max: 3 });
    const convolution = fc.record({
      groups: fc.constantFrom(1, 2),
      inPerGroup: fc.integer({ min: 1, max: 20 }),
      outPerGroup: fc.integer({ min: 1, max: 20 }),
      kernel: fc.tuple(small, small),
      stride: fc.tuple(small, small),
      dilation: fc.tuple(fc.constantFrom(1, 2), fc.constantFrom(1, 2)),
      sides: fc.tuple(...[0, 1, 2, 3].map(() => fc.integer({ min: 0, max: 2 }))),
      bias: fc.boolean(),
      zeroPoint: fc.integer({ min: 0, max: 255 }),
      seed: fc.nat(1e6),
    });
    await fc.assert(
      fc.asyncProperty(convolution, async (c) => {
        const [top, left, bottom, right] = c.sides as [number, number, number, number];
        const [inChannels, outChannels] = [c.groups * c.inPerGroup, c.groups * c.outPerGroup];
        const draw = g.createRandom(c.seed);
        const integers = (size: number, low: number, high: number) =>
          Array.from({ length: size }, () => low + draw.nextInteger(high - low + 1));
        const v = new Tensor("uint8", Uint8Array.from(integers(2 * inChannels * 56, 0, 255)), [2, inChannels, 7, 8]);
        const weightShape = [outChannels, c.inPerGroup, ...c.kernel];
        const w = new Tensor("int8", Int8Array.from(integers(g.sizeOf(weightShape), -127, 127)), weightShape);
        const bias = new Tensor("int32", Int32Array.from(integers(outChannels, -9999, 9999)), [outChannels]);
        const scales = Tensor.float32(
          integers(outChannels, -3, 3).map((e) => 2 ** e),
          [outChannels],
        );
        const y = g.qlinearConv2d(input("v", v.shape, "uint8"), g.constant(w), g.constant(scales), {
          groups: c.groups,
          stride: c.stride,
          dilation: c.dilation,
          padding: { top, left, bottom, right },
          input: { scale: 2 ** -4, zeroPoint: c.zeroPoint },
          output: { scale: 2 ** 6, zeroPoint: 255 - c.zeroPoint },
          ...(c.bias ? { bias: g.constant(bias) } : {}),
        });
        await check(y, { v }, 0);
      }),
      { seed: 7, numRuns: 40 },
    );
  });

  test("random pooling", async () => {
    const size = fc.integer({ min: 1, max: 3 });
    const pool = fc.record({ kernel: fc.tuple(size, size), stride: fc.tuple(size, size), include: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(pool, async ({ kernel, stride, include }) => {
        // Padding stays below the kernel, so that no window lies outside as a whole.
        const padding = { top: kernel[0] - 1, left: kernel[1] - 1, bottom: 0, right: kernel[1] - 1 };
        await check(g.maxPool2d(x, kernel, { stride, padding }), xs);
        await check(g.averagePool2d(x, kernel, { stride, padding, countIncludePad: include }), xs);
      }),
      { seed: 4, numRuns: 15 },
    );
  });
});

test("every op has been lowered by a test above", () => {
  // Leaves are covered by all of them, composites by graph/composites.test.ts; this list fails when an op is added without a test.
  const tested = new Set(
    [
      "input constant parameter composite neg abs sign exp log sqrt sin cos tanh sigmoid erf relu cast add sub mul div pow",
      "maximum minimum equal greater less where reduceSum reduceMean reduceMax softmax matmul conv2d convTranspose2d filterBank",
      "maxPool2d averagePool2d reshape transpose expand slice pad concat gather pixelShuffle pixelUnshuffle",
      "upsampleNearest2d quantizeLinear dequantizeLinear qlinearConv2d sumOverRanks",
    ].flatMap((line) => line.split(" ")),
  );
  expect(g.OP_NAMES.filter((name) => !tested.has(name))).toEqual([]);
});
