/**
 * A case per op, with random shapes: what the finite-difference test and the comparison of engines run.
 *
 * The table is mapped over the op list, so an op without its case doesn't compile.
 */

import type { DType, OpName, Value } from "@dcae/core/graph";
import * as g from "@dcae/core/graph";

/** Small sizes drawn by fast-check. */
export interface Sizes {
  readonly n: number;
  readonly c: number;
  readonly h: number;
  readonly w: number;
  readonly variant: number;
}

export interface OpCase {
  /** Shapes of the float inputs. */
  readonly shapes: readonly (readonly number[])[];
  build(...inputs: Value[]): Value;
  /** Inputs are drawn uniformly from here (default [-2, 2]). */
  readonly range?: readonly [number, number];
  /** What ONNX Runtime computes this op (and its gradient) in. Default float64. */
  readonly dtype?: "float32" | "float64";
  /** The op is linear in each input, so that a large step costs no accuracy. */
  readonly linear?: boolean;
  /** First derivatives that are constant or kinked have no second ones to test. */
  readonly smooth?: boolean;
}

type CaseOf = (sizes: Sizes) => OpCase;

const full = ({ n, c, h, w }: Sizes) => [n, c, h, w];

const unary =
  (op: (x: Value) => Value, options: Partial<OpCase> = {}): CaseOf =>
  (s) => ({ shapes: [full(s)], build: (x) => op(x as Value), smooth: true, ...options });

/** Broadcasting in the directions that models use. */
function partner({ n, c, h, w, variant }: Sizes): number[] {
  return [[n, c, h, w], [c, 1, 1], [], [n, 1, h, 1], [1, c, 1, w]][variant % 5] as number[];
}

const binary =
  (op: (a: Value, b: Value) => Value, options: Partial<OpCase> = {}): CaseOf =>
  (s) => {
    const shapes = [full(s), partner(s)];
    return {
      shapes: s.variant > 4 ? shapes.reverse() : shapes,
      build: (a, b) => op(a as Value, b as Value),
      ...options,
    };
  };

const comparison = (op: (a: Value, b: Value) => Value): CaseOf => binary((a, b) => g.cast(op(a, b), a.dtype));

const AXES = [[0], [1], [2, 3], [0, 2, 3], [3], [0, 1, 2, 3]] as const;
const reduction =
  (op: typeof g.reduceSum, options: Partial<OpCase> = {}): CaseOf =>
  (s) => ({
    shapes: [full(s)],
    build: (x) => op(x as Value, AXES[s.variant % 6], { keepDims: s.variant % 2 === 0 }),
    smooth: true,
    ...options,
  });

const ints = (values: readonly number[], dtype: DType = "int64"): Value =>
  g.constant(new g.Tensor("int64", BigInt64Array.from(values, BigInt), [values.length]).cast(dtype));

/** Multiples of 1/8 of both signs, ties of coarser grids among them. */
const steps = (s: Sizes): Value =>
  g.constant(
    g.Tensor.float32(
      Float32Array.from({ length: g.sizeOf(full(s)) }, (_, i) => (((i * 29) % 65) - 32) / 8),
      full(s),
    ),
  );

/** A power of two per index of some axis. */
function perAxis({ variant, ...s }: Sizes): { readonly axis: number; readonly scale: Value } {
  const axis = variant % 4;
  const count = full({ variant, ...s })[axis] as number;
  return {
    axis,
    scale: g.constant(
      g.Tensor.float32(
        Float32Array.from({ length: count }, (_, i) => 2 ** -i),
        [count],
      ),
    ),
  };
}

/** To a grid of int8 and back. */
function rounded(x: Value, by: number | { readonly axis: number; readonly scale: Value }): Value {
  const { axis, scale } = typeof by === "number" ? { axis: 0, scale: g.scalar(by) } : by;
  return g.dequantizeLinear(g.quantizeLinear(x, scale, { axis, dtype: "int8" }), scale, { axis });
}

const CONVS: readonly g.Conv2dOptions[] = [
  { padding: 1 },
  { padding: 0 },
  { padding: { top: 0, left: 1, bottom: 2, right: 0 } },
  { padding: 1, stride: 2 },
  { padding: 2, dilation: 2 },
  { padding: 1, stride: [1, 2] },
  { padding: 3 },
];

export const opCases: { readonly [K in OpName]: CaseOf } = {
  composite: unary((x) => g.layerNorm(x, { axis: -1, eps: 0.5 })),
  input: unary((x) => x, { linear: true }),
  parameter: unary((x) => g.add(x, g.constant(g.Tensor.full([], 0).cast(x.dtype))), { linear: true }),
  constant: unary((x) => g.mul(x, g.constant(g.Tensor.full([], 3).cast(x.dtype))), { linear: true }),
  neg: unary(g.neg, { linear: true }),
  abs: unary(g.abs),
  sign: unary((x) => g.mul(g.sign(x), x)),
  exp: unary(g.exp),
  log: unary(g.log, { range: [0.3, 3] }),
  sqrt: unary(g.sqrt, { range: [0.3, 3] }),
  sin: unary(g.sin),
  cos: unary(g.cos),
  tanh: unary(g.tanh),
  sigmoid: unary(g.sigmoid),
  erf: unary(g.erf, { dtype: "float32" }),
  relu: unary(g.relu),
  sumOverRanks: unary((x) => g.build("sumOverRanks", [x], { ranks: 1 }), { linear: true }),
  cast: unary((x) => g.cast(g.mul(g.cast(x, "float32"), 2), x.dtype), { dtype: "float32", linear: true }),
  add: binary(g.add, { linear: true }),
  sub: binary(g.sub, { linear: true }),
  mul: binary(g.mul, { smooth: true }),
  div: binary(g.div, { range: [0.5, 2], smooth: true }),
  pow: binary(g.pow, { range: [0.4, 2], smooth: true }),
  maximum: binary(g.maximum),
  minimum: binary(g.minimum),
  equal: comparison((a, b) => g.equal(a, b)),
  greater: comparison((a, b) => g.greater(a, b)),
  less: comparison((a, b) => g.less(a, b)),
  where: binary((a, b) => g.where(g.greater(a, 0), g.mul(a, a), b)),
  reduceSum: reduction(g.reduceSum, { linear: true }),
  reduceMean: reduction(g.reduceMean, { linear: true }),
  reduceMax: reduction(g.reduceMax, { smooth: false }),
  softmax: (s) => ({ shapes: [full(s)], build: (x) => g.softmax(x as Value, s.variant % 4), smooth: true }),
  matmul: ({ n, c, h, w, variant }) => ({
    shapes: (
      [
        [
          [h, w],
          [w, c],
        ],
        [
          [n, c, h, w],
          [n, c, w, h],
        ],
        [
          [n, c, h, w],
          [w, h],
        ],
        [
          [h, w],
          [n, c, w, h],
        ],
        [
          [n, 1, h, w],
          [1, c, w, h],
        ],
        [
          [c, h, w],
          [w, n],
        ],
      ] as const
    )[variant % 6] as readonly (readonly number[])[],
    build: (a, b) => g.matmul(a as Value, b as Value),
    smooth: true,
  }),
  conv2d: ({ n, c, h, w, variant }) => {
    const kernel = [3, 4, 1, 2][variant % 4] as number;
    const groups = variant % 3 === 0 ? 1 : variant % 3 === 1 ? 2 : 2 * c;
    // Many channels on few pixels take another way to the gradients than few channels on many.
    const [inputs, outputs] = groups === 2 * c ? [2 * c, 2 * c] : [2 * c, variant > 5 ? 40 : 2 * n];
    return {
      shapes: [[n, inputs, h + 4, w + 4], [outputs, inputs / groups, kernel, 3], [outputs]],
      build: (x, weight, bias) =>
        g.conv2d(x as Value, weight as Value, { ...CONVS[(variant + h) % CONVS.length], groups, bias }),
      dtype: "float32",
      linear: true,
    };
  },
  convTranspose2d: ({ n, c, h, w, variant }) => ({
    shapes: [
      [n, 2 * c, h + 1, w],
      [2 * c, variant % 2 === 0 ? 3 : 2, 3, 3],
    ],
    build: (x, weight) =>
      g.convTranspose2d(x as Value, weight as Value, {
        ...([{ padding: 1 }, { stride: 2, padding: 1, outputPadding: 1 }, { dilation: 2 }, { stride: 2 }][
          variant % 4
        ] as object),
        groups: variant % 2 === 0 ? 1 : 2,
      }),
    dtype: "float32",
    linear: true,
  }),
  filterBank: ({ n, c, h, w, variant }) => ({
    shapes: [
      [n + 1, c + 1, h + 2, w + 3],
      [2, variant % 2 === 0 ? 2 : 1],
    ],
    build: (x, filters) =>
      g.filterBank(x as Value, filters as Value, {
        axis: variant % 4,
        stride: 1 + (h % 3),
        before: variant % 3,
        after: 1,
      }),
    dtype: "float32",
    linear: true,
  }),
  // Between 0.7 and 1.3 the rounding to integers is constant, as its derivative says.
  quantizeLinear: (s) => ({
    shapes: [full(s)],
    build: (x) => g.mul(rounded(g.add(g.cast(steps(s), x.dtype), rounded(x, 1)), 0.25), x),
    range: [0.7, 1.3],
    dtype: "float32",
  }),
  dequantizeLinear: (s) => ({
    shapes: [full(s)],
    build: (x) => g.mul(rounded(g.mul(steps(s), rounded(x, 1)), perAxis(s)), x),
    range: [0.7, 1.3],
    dtype: "float32",
  }),
  qlinearConv2d: (s) => ({
    shapes: [full(s)],
    build: (x) => {
      const size = 9 * s.c * s.c;
      const values = Int8Array.from({ length: size }, (_, i) => ((i * 37) % 255) - 127);
      const weight = g.constant(new g.Tensor("int8", values, [s.c, s.c, 3, 3]));
      const scales = g.constant(
        g.Tensor.float32(
          values.slice(0, s.c).map((_, i) => 2 ** -i),
          [s.c],
        ),
      );
      const bias =
        s.variant % 3 === 0
          ? ints(
              Array.from({ length: s.c }, (_, i) => 100 * i),
              "int32",
            )
          : undefined;
      const [input, output] = [
        { scale: 0.5, zeroPoint: 3 },
        { scale: 8, zeroPoint: 100 },
      ];
      const q = g.quantizeLinear(g.mul(steps(s), rounded(x, 1)), g.scalar(0.5), { zeroPoint: 3 });
      const y = g.qlinearConv2d(q, weight, scales, { padding: 1, input, output, bias });
      return g.mul(g.dequantizeLinear(y, g.scalar(8), { zeroPoint: 100 }), x);
    },
    range: [0.7, 1.3],
    dtype: "float32",
  }),
  maxPool2d: ({ n, c, h, w, variant }) => ({
    shapes: [[n, c, h + 3, w + 3]],
    build: (x) =>
      [
        g.maxPool2d(x as Value, 2),
        g.maxPool2d(x as Value, 3, { stride: 2, padding: 1 }),
        g.maxPool2d(x as Value, 3),
        g.maxPool2d(x as Value, [2, 3], { stride: 1 }),
      ][variant % 4] as Value,
  }),
  averagePool2d: ({ n, c, h, w, variant }) => ({
    shapes: [[n, c, h + 3, w + 3]],
    build: (x) =>
      [
        g.averagePool2d(x as Value, 2),
        g.averagePool2d(x as Value, 3, { stride: 2, padding: 1 }),
        g.averagePool2d(x as Value, 3, { stride: 1, padding: 1, countIncludePad: false }),
        g.averagePool2d(x as Value, [2, 3], { stride: 1 }),
      ][variant % 4] as Value,
    dtype: "float32",
    linear: true,
  }),
  reshape: unary((x) => g.reshape(x, [-1]), { linear: true }),
  transpose: (s) => ({
    shapes: [full(s)],
    build: (x) =>
      g.transpose(
        x as Value,
        [
          [0, 2, 3, 1],
          [3, 1, 0, 2],
          [1, 0, 3, 2],
        ][s.variant % 3],
      ),
    linear: true,
  }),
  expand: (s) => ({ shapes: [partner(s)], build: (x) => g.expand(x as Value, full(s)), linear: true }),
  slice: ({ n, c, h, w, variant }) => ({
    shapes: [[n, c, h + 4, w + 5]],
    build: (x) => {
      const rows = g.slice(x as Value, 2, variant % 3, undefined, 1 + (variant % 2));
      return g.slice(rows, 3, 1, -1, 1 + (variant % 3));
    },
    linear: true,
  }),
  pad: ({ n, c, h, w, variant }) => ({
    shapes: [[n, c, h + 3, w + 3]],
    build: (x) =>
      g.pad(
        x as Value,
        { 2: [variant % 4, 2], 3: [1, (variant + 1) % 3] },
        (["constant", "reflect", "edge"] as const)[variant % 3],
        0.5,
      ),
    linear: true,
  }),
  concat: ({ n, c, h, w, variant }) => ({
    shapes: [0, 1, 2].map((i) => [n, c, h, w].map((size, axis) => (axis === variant % 4 ? size + i : size))),
    build: (...xs) => g.concat(xs, variant % 4),
    linear: true,
  }),
  gather: ({ n, c, h, w, variant }) => ({
    shapes: [[n + 2, c + 2, h + 2, w]],
    build: (x) => g.gather(x as Value, ints([1, 0, 1, 2], variant % 2 === 0 ? "int64" : "int32"), variant % 3),
    linear: true,
  }),
  pixelShuffle: ({ n, c, h, w }) => ({
    shapes: [[n, 4 * c, h, w]],
    build: (x) => g.pixelShuffle(x as Value, 2),
    linear: true,
  }),
  pixelUnshuffle: ({ n, c, h, w }) => ({
    shapes: [[n, c, 3 * h, 3 * w]],
    build: (x) => g.pixelUnshuffle(x as Value, 3),
    linear: true,
  }),
  upsampleNearest2d: (s) => ({
    shapes: [full(s)],
    build: (x) => g.upsampleNearest2d(x as Value, 2 + (s.variant % 2)),
    dtype: "float32",
    linear: true,
  }),
};
