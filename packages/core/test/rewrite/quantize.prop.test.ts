/** Convolutions of 8 bits against float64: the error stays within what the step sizes allow. */
import { useEngine } from "@dcae/test-support/engine";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as g from "../../src/graph/index.js";
import { evaluate } from "../support/evaluate.js";
import { memoryWeights } from "../support/memory-weights.js";

const engine = useEngine();

const WIDTH = 6;
const HEIGHT = 5;
/** Float32 rounding of the computation around the quantized one, relative to the largest value. */
const ROUNDING = 1e-5;

test("a program without convolutions has no ranges, and its outputs", async () => {
  const x = g.input("x", [2, 3]);
  const program = g.createProgram("plain", { y: g.neg(x) });
  const tensor = normal([2, 3], 1);
  const { y, ranges } = await run(g.withRanges(program), { x: tensor }, {});
  expect(ranges?.shape).toEqual([0, 4]);
  expect(y?.toFloat32()).toEqual(tensor.toFloat32().map((value) => -value));
  expect(g.mergeRanges({}, program, ranges as g.Tensor)).toEqual({});
});

const cases = fc.record({
  inChannels: fc.integer({ min: 16, max: 24 }),
  outChannels: fc.integer({ min: 16, max: 20 }),
  kernel: fc.constantFrom(1, 2, 3),
  stride: fc.integer({ min: 1, max: 2 }),
  padding: fc.integer({ min: 0, max: 1 }),
  bias: fc.boolean(),
  /** Far from symmetric, as behind SiLU. */
  shift: fc.double({ min: -3, max: 3, noNaN: true }),
  scale: fc.double({ min: 0.01, max: 100, noNaN: true }),
  seed: fc.nat(1e6),
});
type Case = typeof cases extends fc.Arbitrary<infer T> ? T : never;

function normal(shape: readonly number[], seed: number, scale = 1, shift = 0): g.Tensor<"float32"> {
  const data = g.createRandom(seed).normal(new Float32Array(g.sizeOf(shape)));
  return g.Tensor.float32(
    data.map((value) => scale * (value + shift)),
    shape,
  );
}

function build({ inChannels, outChannels, kernel, stride, padding, bias, ...drawn }: Case) {
  const scope = g.createScope();
  const shape = [1, inChannels, HEIGHT, WIDTH];
  const x = normal(shape, drawn.seed, drawn.scale, drawn.shift);
  const w = normal([outChannels, inChannels, kernel, kernel], drawn.seed + 1, 1 / Math.sqrt(inChannels));
  const b = normal([outChannels], drawn.seed + 2, drawn.scale);
  const y = g.conv2d(g.input("x", shape), scope.parameter("w", w.shape), {
    stride,
    padding,
    bias: bias ? scope.parameter("b", b.shape) : undefined,
  });
  return { program: g.createProgram("conv", { y }), y, x, w, b };
}

async function run(program: g.Program, inputs: Record<string, g.Tensor>, weights: Record<string, g.Tensor>) {
  const loaded = await engine.load(program, memoryWeights(weights));
  const outputs = await loaded.run(inputs);
  await loaded.dispose();
  return outputs;
}

async function observe(
  program: g.Program,
  x: g.Tensor,
  weights: Record<string, g.Tensor>,
): Promise<g.ActivationRanges> {
  const { ranges } = await run(g.withRanges(program), { x }, weights);
  return g.mergeRanges({}, program, ranges as g.Tensor);
}

/**
 * The most that rounding can do to each output: half a step of every input and weight it sums, half a step of the bias, half a
 * step of the output.
 */
function errorBounds({ y, x, w }: ReturnType<typeof build>, ranges: g.ConvRanges): number[] {
  const [input, output] = [g.gridOf(ranges.input).scale, g.gridOf(ranges.output).scale];
  const perFilter = w.data.length / (w.shape[0] as number);
  const steps = w.data.map((_, i) => {
    const from = Math.floor(i / perFilter) * perFilter;
    return Math.max(...w.data.subarray(from, from + perFilter).map(Math.abs)) / 127;
  });
  // |x| |dw| + |w| |dx| + |dx| |dw|, as one convolution of magnitudes.
  const attributes = (y as g.ValueOf<"conv2d">).attributes;
  const magnitude = (tensor: g.Tensor<"float32">) => g.Tensor.float32(tensor.data.map(Math.abs), tensor.shape);
  const convolve = (a: g.Tensor, b: g.Tensor) => evaluate(g.conv2d(g.constant(a), g.constant(b), attributes), {}).data;
  const halfSteps = g.Tensor.float32(
    steps.map((step) => step / 2),
    w.shape,
  );
  const ofWeights = convolve(magnitude(x), halfSteps);
  const weightsAndTheirs = g.Tensor.float32(
    w.data.map((value, i) => Math.abs(value) + (halfSteps.data[i] as number)),
    w.shape,
  );
  const ofInputs = convolve(g.Tensor.full(x.shape, input / 2), weightsAndTheirs);
  const pixels = g.sizeOf((y.shape as readonly number[]).slice(2));
  return ofWeights.map((value, i) => {
    const channel = Math.floor(i / pixels);
    const bias = (input * (steps[channel * perFilter] as number)) / 2;
    return value + (ofInputs[i] as number) + bias + output / 2;
  });
}

test("within the observed ranges, no output is further off than the steps allow", async () => {
  await fc.assert(
    fc.asyncProperty(cases, async (drawn) => {
      const made = build(drawn);
      const weights = { w: made.w, b: made.b };
      const ranges = await observe(made.program, made.x, weights);
      const { y } = await run(g.toInt8(made.program, ranges), { x: made.x }, weights);
      const exact = evaluate(made.y, { x: made.x, ...weights }).data;
      const bounds = errorBounds(made, ranges.w as g.ConvRanges);
      const largest = Math.max(...exact.map(Math.abs));
      const values = (y as g.Tensor).toFloat32();
      exact.forEach((value, i) => {
        expect(Math.abs((values[i] as number) - value)).toBeLessThanOrEqual((bounds[i] as number) + ROUNDING * largest);
      });
      // And not by luck: it isn't the computation in float32.
      expect(values.some((value, i) => Math.abs(value - (exact[i] as number)) > 1e-4 * largest)).toBe(true);
    }),
    { seed: 11, numRuns: 25 },
  );
});

test("observed ranges are the smallest and largest values, and grow with further runs", async () => {
  await fc.assert(
    fc.asyncProperty(cases, async (drawn) => {
      const { program, y, x, w, b } = build(drawn);
      const ranges = (await observe(program, x, { w, b })).w as g.ConvRanges;
      const exact = evaluate(y, { x, w, b }).data;
      expect(ranges.input).toEqual([Math.min(...x.data), Math.max(...x.data)]);
      const close = 1e-5 * Math.max(...exact.map(Math.abs));
      expect(Math.abs(ranges.output[0] - Math.min(...exact))).toBeLessThanOrEqual(close);
      expect(Math.abs(ranges.output[1] - Math.max(...exact))).toBeLessThanOrEqual(close);
      const row = g.Tensor.float32([2, 7, -1, 1e6], [1, 4]);
      const merged = g.mergeRanges({ w: ranges }, program, row).w as g.ConvRanges;
      expect(merged.input).toEqual([Math.min(ranges.input[0], -2), Math.max(ranges.input[1], 7)]);
      expect(merged.output).toEqual([Math.min(ranges.output[0], 1), 1e6]);
    }),
    { seed: 12, numRuns: 10 },
  );
});

test("grids hold 0 exactly and every value of the range within half a step", () => {
  const bound = fc.double({ min: -1e4, max: 1e4, noNaN: true });
  fc.assert(
    fc.property(bound, bound, fc.double({ min: 0, max: 1, noNaN: true }), (a, b, at) => {
      const [low, high] = [Math.min(a, b), Math.max(a, b)];
      const { scale, zeroPoint } = g.gridOf([low, high]);
      expect(Number.isInteger(zeroPoint) && zeroPoint >= 0 && zeroPoint <= 255).toBe(true);
      const value = low + at * (high - low);
      const q = Math.min(255, Math.max(0, Math.round(value / scale) + zeroPoint));
      // The ends lie up to half a step outside, because 0 is on the grid.
      expect(Math.abs((q - zeroPoint) * scale - value)).toBeLessThanOrEqual(scale * (0.5 + 1e-4));
    }),
  );
});

describe("what stays in float32", () => {
  const ranges: g.ActivationRanges = { w: { input: [-1, 1], output: [-1, 1] } };
  const conv = (shape: readonly number[], options: g.Conv2dOptions = {}) => {
    const w = g.createScope().parameter("w", shape);
    const channels = (shape[1] as number) * (options.groups ?? 1);
    return g.createProgram("conv", { y: g.conv2d(g.input("x", [1, channels, 8, 8]), w, options) });
  };
  const isQuantized = (program: g.Program) =>
    g
      .topologicalOrder([...g.quantizeConvolutions(program, ranges).outputs.values()])
      .some(({ op }) => op === "qlinearConv2d");

  test.each([
    ["many channels to many", conv([16, 16, 3, 3]), true],
    ["from a picture", conv([64, 3, 3, 3]), false],
    ["to a picture", conv([3, 64, 3, 3]), false],
    ["by channel", conv([64, 1, 3, 3], { groups: 64 }), false],
  ])("%s: %#", (_, program, expected) => expect(isQuantized(program)).toBe(expected));

  test("ranges of another model are refused", () => {
    const program = conv([16, 16, 3, 3]);
    expect(() => g.toInt8(program, { other: { input: [0, 1], output: [0, 1] } })).toThrow(/name no convolution/);
  });
});

test.each([0, 1e-12, 1e-6])("filters of %d beside a bias of 1: the bias comes out", async (size) => {
  const scope = g.createScope();
  const [w, b] = [scope.parameter("w", [16, 16, 1, 1]), scope.parameter("b", [16])];
  const program = g.createProgram("conv", { y: g.conv2d(g.input("x", [1, 16, 2, 2]), w, { bias: b }) });
  const bias = g.Tensor.float32(
    Float32Array.from({ length: 16 }, (_, i) => (i % 2 === 0 ? 1 : -0.25)),
    [16],
  );
  const weights = { w: g.Tensor.full([16, 16, 1, 1], size), b: bias };
  const x = normal([1, 16, 2, 2], 1);
  const ranges = await observe(program, x, weights);
  const { y } = await run(g.toInt8(program, ranges), { x }, weights);
  const step = g.gridOf((ranges.w as g.ConvRanges).output).scale;
  (y as g.Tensor).toFloat32().forEach((value, i) => {
    expect(Math.abs(value - (bias.data[Math.floor(i / 4)] as number))).toBeLessThanOrEqual(step / 2 + 1e-4);
  });
});

test("a filter of zeros and an output that is always 0", async () => {
  const scope = g.createScope();
  const y = g.conv2d(g.input("x", [1, 16, 2, 2]), scope.parameter("w", [16, 16, 1, 1]));
  const program = g.createProgram("conv", { y });
  const weights = { w: g.Tensor.full([16, 16, 1, 1], 0) };
  const x = normal([1, 16, 2, 2], 1);
  const ranges = await observe(program, x, weights);
  const { y: result } = await run(g.toInt8(program, ranges), { x }, weights);
  expect((result as g.Tensor).toFloat32().every((value) => value === 0)).toBe(true);
});
