/**
 * Every op's gradient against finite differences along a random direction, with random shapes.
 *
 * In float64 where ONNX Runtime has the op in float64. The others are linear (a large step is then exact up to rounding),
 * save erf, whose step balances rounding and curvature.
 */
import {
  add,
  conv2d,
  convTranspose2d,
  createRandom,
  input,
  mul,
  OP_NAMES,
  type OpName,
  reduceSum,
  sizeOf,
  Tensor,
  type Value,
} from "@dcae/core/graph";
import { useEngine } from "@dcae/test-support/engine";
import { runValues } from "@dcae/test-support/run-graph";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type GradientOptions, gradients, NON_DIFFERENTIABLE } from "../../src/autodiff/gradients.js";
import { type OpCase, opCases, type Sizes } from "../support/op-cases.js";

const engine = useEngine();

const sizes: fc.Arbitrary<Sizes> = fc.record({
  n: fc.integer({ min: 1, max: 3 }),
  c: fc.integer({ min: 1, max: 3 }),
  h: fc.integer({ min: 1, max: 4 }),
  w: fc.integer({ min: 1, max: 4 }),
  variant: fc.integer({ min: 0, max: 11 }),
});

function draw(seed: number, shape: readonly number[], [low, high]: readonly [number, number]): Tensor<"float64"> {
  return new Tensor("float64", createRandom(seed, 7).uniform(new Float64Array(sizeOf(shape)), low, high), shape);
}

const axpy = (x: Tensor, factor: number, v: Tensor): Tensor =>
  new Tensor(
    "float64",
    Float64Array.from(x.data as Float64Array, (a, i) => a + factor * (v.data[i] as number)),
    x.shape,
  );

/** Compares <gradient, direction> with the central difference of the weighted sum of the function's result. */
async function checkDirection(spec: OpCase, second: boolean, options: GradientOptions = {}): Promise<void> {
  const { dtype = "float64", range = [-2, 2], linear = false } = spec;
  const [step, tolerance] = dtype === "float64" ? [1e-5, 1e-7] : linear ? [0.5, 2e-5] : [1e-2, 1e-3];
  const points = spec.shapes.map((shape, i) => draw(i + 1, shape, range));
  const xs = points.map(({ shape }, i) => input(`x${i}`, shape, dtype));
  const inputs: Record<string, Tensor> = {};
  const coefficients = (y: Value, seed: number): Value => {
    inputs[`c${seed}`] = draw(seed, y.shape as number[], [-1, 1]).cast(dtype);
    return reduceSum(mul(y, input(`c${seed}`, y.shape, dtype)));
  };
  let f = coefficients(spec.build(...xs), 100);
  if (second) {
    const parts = gradients(f, xs, options).map((value, i) => coefficients(value, 200 + i));
    f = parts.reduce((sum, part) => add(sum, part));
  }
  const directions = spec.shapes.map((shape, i) => draw(i + 50, shape, [-1, 1]));
  const at = (factor: number) =>
    Object.fromEntries(points.map((x, i) => [`x${i}`, axpy(x, factor, directions[i] as Tensor).cast(dtype)]));
  const named = Object.fromEntries(gradients(f, xs, options).map((value, i) => [`g${i}`, value]));
  const analytic = await runValues(engine, named, { ...inputs, ...at(0) });
  const values = await Promise.all([step, -step].map((h) => runValues(engine, { f }, { ...inputs, ...at(h) })));
  const [above, below] = values.map(({ f: value }) => Number(value!.cast("float64").data[0]));
  let inner = 0;
  let scale = 1e-3;
  directions.forEach((direction, i) => {
    const gradient = analytic[`g${i}`]!.cast("float64").data;
    direction.data.forEach((v, j) => {
      inner += v * (gradient[j] as number);
      scale += Math.abs(v * (gradient[j] as number));
    });
  });
  const numeric = ((above as number) - (below as number)) / (2 * step);
  expect(Math.abs(numeric - inner) / scale).toBeLessThanOrEqual(tolerance);
}

describe.each(OP_NAMES as OpName[])("%s", (op) => {
  const runs = { numRuns: op.startsWith("conv") ? 14 : 6, seed: 1 };

  test("first derivative", async () => {
    await fc.assert(
      fc.asyncProperty(sizes, async (drawn) => checkDirection(opCases[op](drawn), false)),
      runs,
    );
  });

  const smooth = opCases[op]({ n: 1, c: 1, h: 2, w: 2, variant: 0 });
  if (smooth.smooth && !smooth.linear && smooth.dtype !== "float32") {
    test("second derivative", async () => {
      await fc.assert(
        fc.asyncProperty(sizes, async (drawn) => checkDirection(opCases[op](drawn), true)),
        { ...runs, numRuns: 3 },
      );
    });
  }
});

/** Channels that each have their own kernel, in the form of a convolution whose filter is dy. */
test.each(["conv2d", "convTranspose2d"] as const)("%s by channel, as a convolution", async (op) => {
  const spec = (stride: number, dilation: number, padding: number, { n, c, h, w }: Sizes): OpCase => ({
    shapes: [
      [n, c, h + 5, w + 5],
      [c, 1, 2, 3],
    ],
    build: (x, weight) => {
      const options = { stride, dilation, padding, groups: c };
      return op === "conv2d"
        ? conv2d(x as Value, weight as Value, options)
        : convTranspose2d(x as Value, weight as Value, options);
    },
    dtype: "float32",
    linear: true,
  });
  const steps = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 2 }), fc.nat(2));
  await fc.assert(
    fc.asyncProperty(steps, sizes, async ([stride, dilation, padding], drawn) =>
      checkDirection(spec(stride, dilation, padding, drawn), false, {
        forms: { depthwise: "convolution", input: "convolutions", compositions: "whole" },
      }),
    ),
    { numRuns: 20, seed: 1 },
  );
});

test("the input of a strided convolution, by convolutions of each position", async () => {
  const steps = fc.record({
    stride: fc.integer({ min: 1, max: 3 }),
    kernel: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })),
    padding: fc.tuple(fc.nat(2), fc.nat(2), fc.nat(2), fc.nat(2)),
  });
  await fc.assert(
    fc.asyncProperty(steps, sizes, async ({ stride, kernel, padding }, { n, c, h, w }) => {
      const [top, left, bottom, right] = padding;
      const spec: OpCase = {
        shapes: [
          [n, c, h + 5, w + 5],
          [2, c, ...kernel],
        ],
        build: (x, weight) => conv2d(x as Value, weight as Value, { stride, padding: { top, left, bottom, right } }),
        dtype: "float32",
        linear: true,
      };
      const forms = { depthwise: "taps", input: "convolutions", compositions: "by-op" } as const;
      await checkDirection(spec, false, { forms });
    }),
    { numRuns: 30, seed: 1 },
  );
});

test("ops without a derivative are listed", () => {
  expect(NON_DIFFERENTIABLE).toEqual([
    ...["sign", "equal", "greater", "less"],
    ...["quantizeLinear", "dequantizeLinear", "qlinearConv2d"],
  ]);
});
