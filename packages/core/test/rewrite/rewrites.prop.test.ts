/** Every rewrite computes what the plain graph computes, at any size. */
import { relativeError } from "@dcae/test-support/compare";
import { useEngine } from "@dcae/test-support/engine";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { averagingShortcut, duplicatingShortcut } from "../../src/blocks/index.js";
import {
  add,
  constant,
  conv2d,
  createProgram,
  createRandom,
  inlineComposites,
  input,
  layerNorm,
  mul,
  type Padding2d,
  type Program,
  parameter,
  pixelShuffle,
  pixelUnshuffle,
  reduceMean,
  relu,
  rmsNorm,
  silu,
  sub,
  Tensor,
  topologicalOrder,
  upsampleNearest2d,
  type Value,
  ZEROS,
} from "../../src/graph/index.js";
import { channelsLastWinograd } from "../../src/graph/rewrite/channels-last.js";
import { cpuComposites, fastShuffles, foldAffine, splitUpsampling } from "../../src/graph/rewrite/optimize.js";
import { toWinograd } from "../../src/graph/rewrite/winograd.js";
import type { WinogradTile } from "../../src/graph/rewrite/winograd-matrices.js";
import { randomWeights } from "../support/random-weights.js";

const engine = useEngine({ optimize: false });

function random(shape: readonly number[], name: string): Tensor {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  createRandom(5, name).normal(data);
  return Tensor.float32(data, shape);
}

const weight = (name: string, shape: readonly number[]) =>
  parameter({ name, shape, dtype: "float32", init: ZEROS, trainable: true });

function ops(program: Program): string[] {
  return topologicalOrder([...program.outputs.values()]).map(({ op }) => op);
}

/** Largest relative difference of `rewrite(program)` from `program` at random weights and input `x`. */
async function difference(program: Program, rewritten: Program): Promise<number> {
  const x = random(program.inputs.get("x")?.shape as number[], "x");
  const weights = randomWeights(program, 11);
  const [plain, fast] = [await engine.load(program, weights), await engine.load(rewritten, weights)];
  const [expected, actual] = [await plain.run({ x }), await fast.run({ x })];
  await Promise.all([plain.dispose(), fast.dispose()]);
  return relativeError(actual.y as Tensor, expected.y as Tensor);
}

const size = fc.integer({ min: 1, max: 13 });
const channels = fc.integer({ min: 1, max: 5 });
const options = { numRuns: 30, seed: 20, endOnFailure: true } as const;

describe("Winograd", () => {
  const paddings = fc.record({
    top: fc.integer({ min: 0, max: 2 }),
    left: fc.integer({ min: 0, max: 2 }),
    bottom: fc.integer({ min: 0, max: 2 }),
    right: fc.integer({ min: 0, max: 2 }),
  });

  const forms = { "channels first": toWinograd, "channels last": channelsLastWinograd } as const;
  type Form = keyof typeof forms;

  test.each<[Form, WinogradTile, number]>([
    ["channels first", 2, 1e-6],
    ["channels first", 4, 2e-5],
    ["channels last", 2, 1e-6],
    ["channels last", 4, 2e-5],
    ["channels last", 6, 2e-5],
  ])("%s, F(%dx...) equals the direct convolution for any size, batch and padding", async (form, tile, tolerance) => {
    const property = fc.asyncProperty(
      fc.tuple(fc.integer({ min: 1, max: 3 }), channels, channels, size, size),
      paddings,
      fc.boolean(),
      async ([batch, inChannels, outChannels, height, width], padding: Padding2d, withBias) => {
        fc.pre(height + padding.top + padding.bottom >= 3 && width + padding.left + padding.right >= 3);
        const x = input("x", [batch, inChannels, height, width]);
        const bias = withBias ? weight("b", [outChannels]) : undefined;
        const y = relu(conv2d(x, weight("w", [outChannels, inChannels, 3, 3]), { bias, padding }));
        const program = createProgram("test", { y });
        const rewritten = forms[form](program, () => tile);
        expect(ops(rewritten)).toContain("matmul");
        expect(await difference(program, rewritten)).toBeLessThanOrEqual(tolerance);
      },
    );
    await fc.assert(property, options);
  });

  test.each<[WinogradTile, number]>([
    [2, 1e-6],
    [4, 2e-5],
  ])("F(%dx...) of batches of small pictures, without windows", async (tile, tolerance) => {
    const side = fc.integer({ min: 2, max: 8 });
    const property = fc.asyncProperty(
      fc.tuple(fc.integer({ min: 4, max: 6 }), channels, channels, side, side),
      paddings,
      async ([batch, inChannels, outChannels, height, width], padding: Padding2d) => {
        fc.pre(height + padding.top + padding.bottom >= 3 && width + padding.left + padding.right >= 3);
        const x = input("x", [batch, inChannels, height, width]);
        const bias = weight("b", [outChannels]);
        const program = createProgram("test", {
          y: conv2d(x, weight("w", [outChannels, inChannels, 3, 3]), { bias, padding }),
        });
        const rewritten = toWinograd(program, () => tile);
        expect(ops(rewritten)).not.toContain("conv2d");
        expect(await difference(program, rewritten)).toBeLessThanOrEqual(tolerance);
      },
    );
    await fc.assert(property, options);
  });

  test.each<[Form, WinogradTile]>([
    ["channels first", 2],
    ["channels first", 4],
    ["channels last", 4],
    ["channels last", 6],
  ])("%s, F(%dx...) takes upsampling in", async (form, tile) => {
    const property = fc.asyncProperty(channels, size, size, fc.boolean(), async (inChannels, height, width, two) => {
      const x = upsampleNearest2d(input("x", [two ? 2 : 1, inChannels, height, width]), 2);
      const program = createProgram("test", { y: conv2d(x, weight("w", [3, inChannels, 3, 3]), { padding: 1 }) });
      const rewritten = forms[form](program, () => tile);
      expect(ops(rewritten)).not.toContain("upsampleNearest2d");
      expect(await difference(program, rewritten)).toBeLessThanOrEqual(2e-5);
    });
    await fc.assert(property, options);
  });

  test("leaves other convolutions alone", () => {
    const x = input("x", [1, 4, 8, 8]);
    const others: Value[] = [
      conv2d(x, weight("w", [4, 4, 3, 3]), { stride: 2, padding: 1 }),
      conv2d(x, weight("w", [4, 2, 3, 3]), { groups: 2, padding: 1 }),
      conv2d(x, weight("w", [4, 4, 3, 3]), { dilation: 2, padding: 2 }),
      conv2d(x, weight("w", [4, 4, 1, 1])),
      conv2d(x, weight("w", [4, 4, 5, 5]), { padding: 2 }),
      conv2d(x, input("given", [4, 4, 3, 3]), { padding: 1 }),
    ];
    for (const form of Object.values(forms)) {
      for (const y of others) expect(ops(form(createProgram("test", { y }), () => 4))).not.toContain("matmul");
    }
  });
});

describe("channels last", () => {
  const transposes = (program: Program) => ops(program).filter((op) => op === "transpose").length;
  const conv = (x: Value, name: string, bias?: Value) =>
    conv2d(x, weight(name, [4, x.shape[1] as number, 3, 3]), { bias, padding: 1 });
  /** Transposes of pictures, without those of weights. */
  const between = (program: Program) => transposes(program) - ops(program).filter((op) => op === "gather").length;
  const x = input("x", [2, 4, 7, 9]);
  const spread = (name: string) => weight(name, [4, 1, 1]);

  test("a chain of residual blocks with norms is transposed at its ends only", async () => {
    const block = (y: Value, name: string) => {
      const hidden = silu(conv(y, `${name}.1`, weight(`${name}.b`, [4])));
      const normed = rmsNorm(conv(hidden, `${name}.2`), weight(`${name}.w`, [4]), weight(`${name}.c`, [4]), {
        axis: 1,
        eps: 1e-5,
      });
      return add(normed, y);
    };
    const program = createProgram("test", { y: block(block(x, "a"), "b") });
    const rewritten = channelsLastWinograd(program, () => 4);
    expect(between(rewritten)).toBe(2);
    expect(await difference(program, rewritten)).toBeLessThanOrEqual(1e-5);
  });

  const cases: readonly [string, number, (y: Value) => Value][] = [
    ["numbers and relu", 2, (y) => relu(mul(add(y, 1), 0.5))],
    ["values per channel", 2, (y) => sub(mul(y, spread("s")), spread("t"))],
    ["an operand that has channels first", 3, (y) => add(y, pixelUnshuffle(pixelShuffle(x, 2), 2))],
    ["a mean over channels", 2, (y) => sub(y, reduceMean(y, 1, { keepDims: true }))],
    ["a mean over pixels, which needs both forms", 4, (y) => sub(y, reduceMean(y, [2, 3], { keepDims: true }))],
    ["an operand per pixel, which stays channels first", 2, (y) => mul(y, weight("m", [4, 7, 9]))],
  ];
  test.each(cases)("%s", async (_, most, follow) => {
    const program = createProgram("test", { y: follow(conv(x, "w")) });
    const rewritten = channelsLastWinograd(program, () => 4);
    expect(between(rewritten)).toBeLessThanOrEqual(most);
    expect(await difference(program, rewritten)).toBeLessThanOrEqual(1e-5);
  });
});

test("upsampling and convolution as phases", async () => {
  const property = fc.asyncProperty(channels, channels, size, size, fc.boolean(), async (inC, outC, h, w, withBias) => {
    const x = upsampleNearest2d(input("x", [2, inC, h, w]), 2);
    const bias = withBias ? weight("b", [outC]) : undefined;
    const program = createProgram("test", { y: conv2d(x, weight("w", [outC, inC, 3, 3]), { bias, padding: 1 }) });
    const rewritten = splitUpsampling(program);
    expect(ops(rewritten)).not.toContain("upsampleNearest2d");
    expect(await difference(program, rewritten)).toBeLessThanOrEqual(1e-6);
  });
  await fc.assert(property, options);
});

describe("shuffles and shortcuts", () => {
  const cases: readonly [string, readonly number[], (x: Value) => Value][] = [
    ["pixelShuffle 2", [2, 8, 3, 5], (x) => pixelShuffle(x, 2)],
    ["pixelShuffle 4", [1, 32, 2, 3], (x) => pixelShuffle(x, 4)],
    ["pixelUnshuffle 2", [2, 3, 6, 10], (x) => pixelUnshuffle(x, 2)],
    ["pixelUnshuffle 4", [1, 2, 8, 12], (x) => pixelUnshuffle(x, 4)],
    ["averaging, 2 of a cell", [2, 4, 6, 10], (x) => averagingShortcut(x, 8, 2)],
    ["averaging, a cell", [2, 4, 6, 10], (x) => averagingShortcut(x, 4, 2)],
    ["averaging, two cells", [2, 4, 6, 10], (x) => averagingShortcut(x, 2, 2)],
    ["averaging, factor 4", [1, 4, 8, 12], (x) => averagingShortcut(x, 8, 4)],
    ["averaging, part of a row", [1, 2, 8, 12], (x) => averagingShortcut(x, 16, 4)],
    ["averaging without change", [1, 2, 8, 12], (x) => averagingShortcut(x, 8, 2)],
    ["averaging without shuffle", [1, 8, 3, 3], (x) => averagingShortcut(x, 4, 1)],
    ["duplicating, a row", [2, 8, 3, 5], (x) => duplicatingShortcut(x, 4, 2)],
    ["duplicating, a cell", [2, 4, 3, 5], (x) => duplicatingShortcut(x, 4, 2)],
    ["duplicating, two cells", [2, 4, 3, 5], (x) => duplicatingShortcut(x, 8, 2)],
    ["duplicating, factor 4", [1, 8, 3, 5], (x) => duplicatingShortcut(x, 4, 4)],
    ["duplicating, once", [1, 16, 3, 5], (x) => duplicatingShortcut(x, 4, 2)],
  ];
  test.each(cases)("%s", async (_, shape, forward) => {
    const program = createProgram("test", { y: mul(forward(input("x", shape)), 1) });
    const rewritten = fastShuffles(cpuComposites(program));
    expect(ops(rewritten)).not.toContain("pixelShuffle");
    expect(ops(rewritten)).not.toContain("pixelUnshuffle");
    expect(await difference(program, rewritten)).toBeLessThanOrEqual(1e-6);
  });

  test("shortcuts of the published widths need no full shuffle", () => {
    const down = createProgram("test", { y: averagingShortcut(input("x", [1, 4, 8, 8]), 8, 2) });
    expect(ops(cpuComposites(down))).not.toContain("pixelUnshuffle");
    const up = createProgram("test", { y: duplicatingShortcut(input("x", [1, 8, 4, 4]), 4, 2) });
    expect(ops(cpuComposites(up))).not.toContain("pixelShuffle");
  });
});

describe("folding a scale and a shift into a convolution", () => {
  const x = input("x", [2, 3, 5, 6]);
  const conv = (bias?: Value) => conv2d(x, weight("w", [4, 3, 3, 3]), { bias, padding: 1 });
  const [scale, shift] = [weight("s", [4, 1, 1]), weight("t", [1, 4, 1, 1])];
  const folded: readonly [string, Value][] = [
    ["scale and shift", add(mul(conv(), scale), shift)],
    ["with a bias", add(mul(conv(weight("b", [4])), scale), shift)],
    ["a number, from the left", mul(constant(Tensor.float32([3], [])), conv(weight("b", [4])))],
    ["a difference", sub(conv(), shift)],
  ];
  test.each(folded)("%s", async (_, y) => {
    const program = createProgram("test", { y: relu(y) });
    const rewritten = foldAffine(program);
    const last = (rewritten.outputs.get("y") as Value).inputs[0] as Value;
    expect(last.op).toBe("conv2d");
    expect(await difference(program, rewritten)).toBeLessThanOrEqual(1e-6);
  });

  const shared = conv();
  const kept: readonly [string, Value][] = [
    ["the convolution is used twice", add(mul(shared, scale), shared)],
    ["the operand varies", mul(conv(), reduceMean(x, [0, 1, 2, 3], { keepDims: true }))],
    ["the operand differs between pixels", add(conv(), weight("m", [4, 5, 6]))],
    ["the convolution is subtracted", sub(shift, conv())],
  ];
  test.each(kept)("not when %s", async (_, y) => {
    const program = createProgram("test", { y });
    expect(ops(foldAffine(program))).toEqual(ops(program));
  });
});

test.each<[string, (x: Value, w: Value, b: Value) => Value]>([
  ["RMS norm", (x, w, b) => rmsNorm(x, w, b, { axis: 1, eps: 1e-5 })],
  ["layer norm", (x, weight, bias) => layerNorm(x, { axis: 1, eps: 1e-5, weight, bias })],
])("means over channels of a %s are products", async (_, norm) => {
  const y = norm(input("x", [2, 7, 3, 4]), weight("w", [7]), weight("b", [7]));
  const program = createProgram("test", { y: mul(y, 1) });
  const rewritten = cpuComposites(program);
  expect(ops(inlineComposites(rewritten))).toContain("matmul");
  expect(ops(inlineComposites(rewritten))).not.toContain("reduceMean");
  expect(await difference(program, rewritten)).toBeLessThanOrEqual(1e-6);
});
