/**
 * Op functions take any arguments: a value whose shape is that of the reference kernels, or a ShapeError that names the op. Never
 * a raw error, and never a number or an axis that is silently taken for another.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ShapeError } from "../../src/errors.js";
import * as g from "../../src/graph/index.js";
import { evaluate } from "../support/evaluate.js";

type Value = g.Value;

const dtypes = fc.constantFrom<g.DType[]>(
  "float32",
  "float32",
  "float32",
  "int32",
  "int64",
  "uint8",
  "bool",
  "float16",
);
const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 5 });
/** Whole numbers mostly, of both signs, and what nobody should pass. */
const numbers = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: -6, max: 6 }) },
  { weight: 1, arbitrary: fc.constantFrom(0.5, -1.5, 300, 2 ** 31, 1e300, Number.NaN, Number.POSITIVE_INFINITY) },
);
const lists = fc.array(numbers, { maxLength: 5 });
const pairs = fc.tuple(numbers, numbers);
const sides = fc.record({ top: numbers, left: numbers, bottom: numbers, right: numbers });
/** Square pictures of four channels, so that spatial ops are also taken. */
const pictures = fc.constantFrom([1, 4, 4, 4], [2, 4, 3, 4], [1, 1, 4, 2]);
const inputs = fc
  .tuple(fc.oneof(shapes, pictures), fc.oneof(shapes, pictures), fc.oneof(shapes, fc.constant([4])), dtypes, dtypes)
  .map(([a, b, c, dtype, other]) => ({
    x: g.input("x", a, dtype),
    y: g.input("y", b, dtype),
    z: g.input("z", c, other),
  }));

interface Drawn {
  readonly x: Value;
  readonly y: Value;
  readonly z: Value;
  readonly n: number;
  readonly m: number;
  readonly k: number;
  readonly list: readonly number[];
  readonly stride: readonly [number, number];
  readonly padding: { readonly top: number; readonly left: number; readonly bottom: number; readonly right: number };
  readonly mode: "constant" | "reflect" | "edge";
}
const drawn: fc.Arbitrary<Drawn> = fc
  .tuple(
    inputs,
    fc.record({
      n: numbers,
      m: numbers,
      k: numbers,
      list: lists,
      stride: pairs,
      padding: sides,
      mode: fc.constantFrom("constant" as const, "reflect" as const, "edge" as const),
    }),
  )
  .map(([values, rest]) => ({ ...values, ...rest }));

const { add, sub, mul, div, pow, maximum, minimum, equal, greater, less } = g;
const binaries = Object.entries({ add, sub, mul, div, pow, maximum, minimum, equal, greater, less });
const { neg, abs, sign, exp, log, sqrt, sin, cos, tanh, sigmoid, erf, relu } = g;
const { square, silu, relu6, hardSwish, softplus, mish, gelu, geluTanh } = g;
const unaries = Object.entries({
  ...{ neg, abs, sign, exp, log, sqrt, sin, cos, tanh, sigmoid, erf, relu },
  ...{ square, silu, relu6, hardSwish, softplus, mish, gelu, geluTanh },
});

const calls: Readonly<Record<string, (d: Drawn) => Value | readonly Value[]>> = {
  ...Object.fromEntries(unaries.map(([name, op]) => [name, ({ x }: Drawn) => op(x)])),
  ...Object.fromEntries(binaries.map(([name, op]) => [name, ({ x, y }: Drawn) => op(x, y)])),
  ...Object.fromEntries(binaries.map(([name, op]) => [`${name} of a number`, ({ x, n }: Drawn) => op(n, x)])),
  where: ({ x, y, z }) => g.where(z, x, y),
  "where with numbers": ({ x, n, m }) => g.where(g.equal(x, x), n, m),
  "where with a number": ({ x, n }) => g.where(g.equal(x, x), x, n),
  clamp: ({ x, n, m }) => g.clamp(x, n, m),
  leakyRelu: ({ x, n }) => g.leakyRelu(x, n),
  reduceSum: ({ x, list }) => g.reduceSum(x, list),
  reduceMean: ({ x, n }) => g.reduceMean(x, n, { keepDims: true }),
  reduceMax: ({ x, list }) => g.reduceMax(x, list),
  softmax: ({ x, n }) => g.softmax(x, n),
  standardize: ({ x, n }) => g.standardize(x, n, 1e-5),
  rmsNorm: ({ x, y, z, n }) => g.rmsNorm(x, z, y, { axis: n, eps: 1e-5 }),
  layerNorm: ({ x, n }) => g.layerNorm(x, { axis: n, eps: 1e-5 }),
  "layerNorm with weights": ({ x, y, z, n }) => g.layerNorm(x, { axis: n, eps: 1e-5, weight: z, bias: y }),
  groupNorm: ({ x, y, z, n }) => g.groupNorm(x, z, y, { groups: n, eps: 1e-5 }),
  averagingShortcut: ({ x, n, m }) => g.averagingShortcut(x, n, m),
  duplicatingShortcut: ({ x, n, m }) => g.duplicatingShortcut(x, n, m),
  linearAttention: ({ x, y, z }) => g.linearAttention(x, y, z, 1e-15),
  "linearAttention of itself": ({ x }) => g.linearAttention(x, x, x, 1e-15),
  softmaxAttention: ({ x, y, z }) => g.softmaxAttention(x, y, z),
  "softmaxAttention with channels first": ({ x, n }) =>
    g.softmaxAttention(x, x, x, { layout: "channels first", scale: n }),
  channelAffine: ({ x, y, z }) => g.channelAffine(x, z, y),
  matmul: ({ x, y }) => g.matmul(x, y),
  conv2d: ({ x, y, n, stride, padding }) => g.conv2d(x, y, { stride, padding, dilation: n }),
  "conv2d in groups": ({ x, y, z, n, m }) => g.conv2d(x, y, { bias: z, groups: n, padding: m }),
  convTranspose2d: ({ x, y, n, m, stride, padding }) =>
    g.convTranspose2d(x, y, { stride, padding, groups: n, outputPadding: m }),
  filterBank: ({ x, y, n, m, k }) => g.filterBank(x, y, { axis: n, stride: m, before: k }),
  maxPool2d: ({ x, n, stride, padding }) => g.maxPool2d(x, n, { stride, padding }),
  averagePool2d: ({ x, stride, m }) => g.averagePool2d(x, stride, { padding: m }),
  reshape: ({ x, list }) => g.reshape(x, list),
  transpose: ({ x }) => g.transpose(x),
  "transpose by a permutation": ({ x, list }) => g.transpose(x, list),
  expand: ({ x, list }) => g.expand(x, list),
  "expand to more axes": ({ x, n, m }) => g.expand(x, [n, m, ...x.shape]),
  slice: ({ x, n, m, k, stride }) => g.slice(x, n, m, k, stride[0]),
  split: ({ x, n, list }) => g.split(x, n, list),
  pad: ({ x, n, m, k, mode, stride }) => g.pad(x, { [n]: [m, k] }, mode, stride[0]),
  "pad of two axes": ({ x, n, m, stride, mode }) => g.pad(x, { [n]: stride, [m]: [1, 1] }, mode),
  concat: ({ x, y, n }) => g.concat([x, y], n),
  "concat of one": ({ x, n }) => g.concat([x], n),
  gather: ({ x, z, n }) => g.gather(x, z, n),
  pixelShuffle: ({ x, n }) => g.pixelShuffle(x, n),
  pixelUnshuffle: ({ x, n }) => g.pixelUnshuffle(x, n),
  upsampleNearest2d: ({ x, n }) => g.upsampleNearest2d(x, n),
  repeatInterleave: ({ x, n, m }) => g.repeatInterleave(x, n, m),
  quantizeLinear: ({ x, z, n, m }) => g.quantizeLinear(x, z, { axis: n, zeroPoint: m }),
  dequantizeLinear: ({ x, z, n, m }) => g.dequantizeLinear(x, z, { axis: n, zeroPoint: m }),
  qlinearConv2d: ({ x, y, z, n, m, stride, padding }) =>
    g.qlinearConv2d(g.cast(x, "uint8"), g.cast(y, "int8"), g.cast(z, "float32"), {
      stride,
      padding,
      input: { scale: n, zeroPoint: m },
      output: { scale: 1, zeroPoint: n },
    }),
  sumOverRanks: ({ x, n }) => g.sumOverRanks(x, n),
  input: ({ list }) => g.input("x", list),
  scalar: ({ n, x }) => g.scalar(n, x.dtype),
};

/** Elements that any dtype can hold. */
function zeros(value: Value): g.Tensor {
  const shape = value.shape as readonly number[];
  const data = g.allocate(value.dtype, g.sizeOf(shape));
  return new g.Tensor(value.dtype, data, shape);
}

describe("any arguments give a value of the reference's shape, or a ShapeError", () => {
  test.each(Object.entries(calls))("%s", (_, call) => {
    fc.assert(
      fc.property(drawn, (args) => {
        let made: Value | readonly Value[];
        try {
          made = call(args);
        } catch (error) {
          expect(error).toBeInstanceOf(ShapeError);
          return;
        }
        for (const value of "op" in made ? [made] : made) {
          for (const dim of value.shape)
            expect(typeof dim === "number" && Number.isSafeInteger(dim) && dim >= 0).toBe(true);
          if (g.sizeOf(value.shape as readonly number[]) > 5000) continue;
          const tensors = Object.fromEntries([...g.inputsOf([value])].map(([name, leaf]) => [name, zeros(leaf)]));
          const { data } = evaluate(value, tensors);
          expect(data).toHaveLength(g.sizeOf(value.shape as readonly number[]));
        }
      }),
      { seed: 11, numRuns: 400 },
    );
  });
});

describe("a plain number becomes a constant of the other operand's dtype only where that has it", () => {
  const refused: readonly [g.DType, number][] = [
    ["int32", 0.5],
    ["int64", 0.5],
    ["uint8", -1],
    ["uint8", 256],
    ["int32", 2 ** 31],
    ["int64", 2 ** 63],
    ["uint64", -1],
    ["int64", Number.NaN],
    ["int32", Number.POSITIVE_INFINITY],
    ["bool", 2],
    ["float16", 70_000],
    ["float32", 1e39],
    ["float8_e4m3fn", 1000],
  ];
  test.each(refused)("%s has no %d", (dtype, value) => {
    const x = g.input("x", [2], dtype);
    expect(() => g.mul(x, value)).toThrow(ShapeError);
    expect(() => g.mul(x, value)).toThrow(`mul([2] ${dtype}): ${value} is no ${dtype}`);
    expect(() => g.where(g.equal(x, x), value, x)).toThrow(ShapeError);
    expect(() => g.scalar(value, dtype)).toThrow(ShapeError);
    expect(() => g.pad(x, { 0: [1, 1] }, "constant", value)).toThrow(ShapeError);
  });

  test.each<[g.DType, number]>([
    ["int64", -(2 ** 53)],
    ["uint64", 2 ** 53],
    ["uint8", 255],
    ["bool", 1],
    ["float16", 65_504],
    ["float16", 0.1],
    ["float32", Number.NEGATIVE_INFINITY],
    ["float32", Number.NaN],
    ["bfloat16", 1e38],
  ])("%s has %d", (dtype, value) => {
    expect(g.equal(g.input("x", [2], dtype), value).dtype).toBe("bool");
  });
});

describe("negative axes count from the end", () => {
  const x = g.input("x", [2, 3, 4, 5]);
  const tensor = g.Tensor.float32(
    Float32Array.from({ length: 120 }, (_, i) => ((i * 37) % 23) - 11),
    [2, 3, 4, 5],
  );
  const scales = g.constant(g.Tensor.float32([1, 2, 4, 8, 16]));
  const filters = g.constant(g.Tensor.float32([1, 2], [1, 2]));
  const indices = g.constant(new g.Tensor("int64", BigInt64Array.of(1n, 0n), [2]));
  test.each<[string, (axis: number) => Value | readonly Value[]]>([
    ["reduceSum", (axis) => g.reduceSum(x, axis)],
    ["reduceMean", (axis) => g.reduceMean(x, [axis, 0])],
    ["reduceMax", (axis) => g.reduceMax(x, [axis], { keepDims: true })],
    ["softmax", (axis) => g.softmax(x, axis)],
    ["slice", (axis) => g.slice(x, axis, 1, -1)],
    ["split", (axis) => g.split(x, axis, [2, 3])],
    ["pad", (axis) => g.pad(x, { [axis]: [1, 2] })],
    ["pad by reflection", (axis) => g.pad(x, { 1: [1, 0], [axis]: [1, 2] }, "reflect")],
    ["concat", (axis) => g.concat([x, g.neg(x)], axis)],
    ["gather", (axis) => g.gather(x, indices, axis)],
    ["repeatInterleave", (axis) => g.repeatInterleave(x, axis, 2)],
    ["filterBank", (axis) => g.filterBank(x, filters, { axis })],
    ["quantizeLinear", (axis) => g.quantizeLinear(x, scales, { axis })],
    ["dequantizeLinear", (axis) => g.dequantizeLinear(g.quantizeLinear(x, scales, { axis: 3 }), scales, { axis })],
    ["transpose", (axis) => g.transpose(x, [axis, 0, -3, 2])],
  ])("%s", (_, call) => {
    const list = (made: Value | readonly Value[]) => ("op" in made ? [made] : made);
    const [last, third] = [list(call(-1)), list(call(3))];
    expect(last.map(({ shape }) => shape)).toEqual(third.map(({ shape }) => shape));
    last.forEach((value, i) => {
      expect(evaluate(value, { x: tensor })).toEqual(evaluate(third[i] as Value, { x: tensor }));
    });
    for (const axis of [4, -5, 0.5]) expect(() => call(axis)).toThrow(`there is no axis ${axis}`);
  });

  test("pad refuses an axis under two names", () => {
    expect(() => g.pad(x, { 3: [1, 1], [-1]: [2, 2] })).toThrow("axis 3 has two amounts");
  });
});
