/**
 * Every op as naive loops in float64: the independent computation that engines are tested against.
 *
 * A table over the op list, so that an op without its reference doesn't compile. Clarity over speed throughout.
 */
import { type Dim, staticShape } from "../../src/graph/dim.js";
import type { DType } from "../../src/graph/dtype.js";
import { rowMajorStrides, sizeOf } from "../../src/graph/tensor.js";
import type { ConvAttributes, OpName, PoolAttributes, ReduceAttributes, ValueOf } from "../../src/graph/value.js";

export interface Plain {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** What has no kernel: data, and composites, whose bodies are evaluated. */
type Leaf = "input" | "parameter" | "constant" | "composite";
type Kernel<K extends OpName> = (value: ValueOf<K>, ...inputs: Plain[]) => readonly number[];

/** Calls `visit` with every index of `shape`, in row-major order. */
function eachIndex(shape: readonly number[], visit: (index: readonly number[], position: number) => void): void {
  const strides = rowMajorStrides(shape);
  for (let position = 0; position < sizeOf(shape); position++) {
    visit(
      shape.map((dim, axis) => Math.floor(position / (strides[axis] as number)) % dim),
      position,
    );
  }
}

/** Element at `index`; axes of size 1 broadcast, missing leading axes too. Outside of the tensor: `outside`. */
function at({ shape, data }: Plain, index: readonly number[], outside = Number.NaN): number {
  const own = index.slice(index.length - shape.length);
  const strides = rowMajorStrides(shape);
  let position = 0;
  for (const [axis, dim] of shape.entries()) {
    const i = dim === 1 && own[axis] !== -1 ? Math.min(own[axis] as number, 0) : (own[axis] as number);
    if (i < 0 || i >= dim) return outside;
    position += i * (strides[axis] as number);
  }
  return data[position] as number;
}

interface Shaped {
  readonly shape: readonly Dim[];
}

/** The output element by element. */
function generate(value: Shaped, f: (index: readonly number[]) => number): number[] {
  const out: number[] = [];
  eachIndex(staticShape(value.shape, "reference"), (index) => out.push(f(index)));
  return out;
}

const replaced = (index: readonly number[], axis: number, value: number) =>
  index.map((i, position) => (position === axis ? value : i));

const unary =
  (f: (x: number) => number) =>
  (_: unknown, x: Plain): number[] =>
    x.data.map(f);

const binary =
  (f: (a: number, b: number) => number) =>
  (value: Shaped, a: Plain, b: Plain): number[] =>
    generate(value, (index) => f(at(a, index), at(b, index)));

/** Abramowitz and Stegun's series 7.1.5, summed until it stands still. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const reduce =
  (combine: (values: readonly number[]) => number) =>
  (value: { readonly attributes: ReduceAttributes }, x: Plain): number[] => {
    const { axes } = value.attributes;
    const groups = new Map<string, number[]>();
    // Groups exist without elements too: the sum over an empty axis is 0.
    const kept = x.shape.filter((_, axis) => !axes.includes(axis));
    eachIndex(kept, (index) => groups.set(index.join(), []));
    eachIndex(x.shape, (index, position) => {
      const key = index.filter((_, axis) => !axes.includes(axis)).join();
      const group = groups.get(key) ?? [];
      group.push(x.data[position] as number);
      groups.set(key, group);
    });
    return [...groups.values()].map(combine);
  };

const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);

function windows(
  { kernel, stride, padding }: PoolAttributes,
  [n, c, y, x]: readonly number[],
  input: Plain,
): { readonly values: number[]; readonly count: number } {
  const values: number[] = [];
  let count = 0;
  for (let i = 0; i < kernel[0]; i++) {
    for (let j = 0; j < kernel[1]; j++) {
      const row = (y as number) * stride[0] + i - padding.top;
      const column = (x as number) * stride[1] + j - padding.left;
      count++;
      const inside = row >= 0 && row < (input.shape[2] as number) && column >= 0 && column < (input.shape[3] as number);
      if (inside) values.push(at(input, [n as number, c as number, row, column]));
    }
  }
  return { values, count };
}

function conv2d(
  value: { readonly attributes: ConvAttributes; readonly shape: ValueOf<"conv2d">["shape"] },
  x: Plain,
  weight: Plain,
  bias?: Plain,
): number[] {
  const { stride, padding, dilation, groups } = value.attributes as ConvAttributes;
  const [out, inPerGroup, kh, kw] = weight.shape as readonly [number, number, number, number];
  const [height, width] = x.shape.slice(2) as [number, number];
  return generate(value, ([n, o, y, xx]) => {
    const group = Math.floor((o as number) / (out / groups));
    let sum = bias === undefined ? 0 : (bias.data[o as number] as number);
    for (let c = 0; c < inPerGroup; c++) {
      for (let i = 0; i < kh; i++) {
        for (let j = 0; j < kw; j++) {
          const row = (y as number) * stride[0] + i * dilation[0] - padding.top;
          const column = (xx as number) * stride[1] + j * dilation[1] - padding.left;
          if (row < 0 || row >= height || column < 0 || column >= width) continue;
          sum += at(x, [n as number, group * inPerGroup + c, row, column]) * at(weight, [o as number, c, i, j]);
        }
      }
    }
    return sum;
  });
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && Math.abs(floor % 2) === 1) ? floor + 1 : floor;
}

function toGrid(real: number, scale: number, zeroPoint: number, dtype: DType): number {
  const [low, high] = dtype === "int8" ? [-128, 127] : [0, 255];
  // The quotient is one of float32, whose ties are others than those of float64.
  return Math.min(high, Math.max(low, roundHalfEven(Math.fround(real / scale)) + zeroPoint));
}

const scaleAt = (scale: Plain, index: readonly number[], axis: number) =>
  at(scale, scale.shape.length === 0 ? [] : [index[axis] as number]);

/** The convolution of the real numbers, on the grid of the output. */
function qlinearConv2d(
  value: ValueOf<"qlinearConv2d">,
  x: Plain,
  weight: Plain,
  weightScale: Plain,
  bias?: Plain,
): number[] {
  const { input, output } = value.attributes;
  const real = { ...x, data: x.data.map((q) => q - input.zeroPoint) };
  const sums = conv2d(value, real, weight, bias);
  const shape = staticShape(value.shape, "reference");
  const pixels = sizeOf(shape.slice(2));
  return sums.map((sum, i) => {
    const channel = Math.floor(i / pixels) % (shape[1] as number);
    const factor = Math.fround(Math.fround(input.scale * (weightScale.data[channel] as number)) / output.scale);
    return toGrid(Math.fround(sum * factor), 1, output.zeroPoint, "uint8");
  });
}

/** Scatters every input element into the output: the adjoint of conv2d, written the other way around. */
function convTranspose2d(value: ValueOf<"convTranspose2d">, x: Plain, weight: Plain): number[] {
  const { stride, padding, dilation, groups } = value.attributes;
  const shape = staticShape(value.shape, "reference");
  const [, outPerGroup, kh, kw] = weight.shape as readonly [number, number, number, number];
  const out = new Array<number>(sizeOf(shape)).fill(0);
  const strides = rowMajorStrides(shape) as [number, number, number, number];
  const perGroup = (x.shape[1] as number) / groups;
  eachIndex(x.shape, ([n, c, y, xx]) => {
    const group = Math.floor((c as number) / perGroup);
    for (let o = 0; o < outPerGroup; o++) {
      for (let i = 0; i < kh; i++) {
        for (let j = 0; j < kw; j++) {
          const row = (y as number) * stride[0] + i * dilation[0] - padding.top;
          const column = (xx as number) * stride[1] + j * dilation[1] - padding.left;
          if (row < 0 || row >= (shape[2] as number) || column < 0 || column >= (shape[3] as number)) continue;
          const position =
            (n as number) * strides[0] + (group * outPerGroup + o) * strides[1] + row * strides[2] + column;
          const product =
            at(x, [n as number, c as number, y as number, xx as number]) * at(weight, [c as number, o, i, j]);
          out[position] = (out[position] as number) + product;
        }
      }
    }
  });
  return out;
}

function padded(value: ValueOf<"pad">, x: Plain): number[] {
  const { before, mode, value: fill } = value.attributes;
  return generate(value, (index) => {
    const source = index.map((i, axis) => {
      const dim = x.shape[axis] as number;
      const position = i - (before[axis] as number);
      if (mode === "edge") return Math.min(Math.max(position, 0), dim - 1);
      if (mode === "constant" || (position >= 0 && position < dim)) return position;
      return position < 0 ? -position : 2 * (dim - 1) - position;
    });
    const outside = source.some((i, axis) => i < 0 || i >= (x.shape[axis] as number));
    return outside ? fill : at(x, source);
  });
}

export const referenceKernels: { readonly [K in Exclude<OpName, Leaf>]: Kernel<K> } = {
  neg: unary((x) => -x),
  abs: unary(Math.abs),
  sign: unary(Math.sign),
  exp: unary(Math.exp),
  log: unary(Math.log),
  sqrt: unary(Math.sqrt),
  sin: unary(Math.sin),
  cos: unary(Math.cos),
  tanh: unary(Math.tanh),
  sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  erf: unary(erf),
  relu: unary((x) => Math.max(x, 0)),
  sumOverRanks: unary((x) => x),
  cast: ({ dtype }, x) =>
    x.data.map((v) => (dtype === "bool" ? Number(v !== 0) : dtype.startsWith("int") ? Math.trunc(v) : v)),
  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: binary((a, b) => a * b),
  div: binary((a, b) => a / b),
  pow: binary((a, b) => a ** b),
  maximum: binary(Math.max),
  minimum: binary(Math.min),
  equal: binary((a, b) => Number(a === b)),
  greater: binary((a, b) => Number(a > b)),
  less: binary((a, b) => Number(a < b)),
  where: (value, condition, a, b) =>
    generate(value, (index) => (at(condition, index) !== 0 ? at(a, index) : at(b, index))),
  reduceSum: reduce(total),
  reduceMean: reduce((values) => total(values) / values.length),
  reduceMax: reduce((values) => Math.max(...values)),
  softmax: (value, x) => {
    const { axis } = value.attributes;
    const line = (index: readonly number[]) =>
      Array.from({ length: x.shape[axis] as number }, (_, i) => at(x, replaced(index, axis, i)));
    return generate(value, (index) => Math.exp(at(x, index)) / total(line(index).map(Math.exp)));
  },
  matmul: (value, a, b) =>
    generate(value, (index) => {
      const [row, column] = index.slice(-2) as [number, number];
      const batch = index.slice(0, -2);
      const inner = a.shape.at(-1) as number;
      return total(Array.from({ length: inner }, (_, k) => at(a, [...batch, row, k]) * at(b, [...batch, k, column])));
    }),
  conv2d,
  convTranspose2d,
  filterBank: (value, x, filters) => {
    const { axis, stride, before } = value.attributes;
    const taps = Array.from({ length: filters.shape[1] as number }, (_, tap) => tap);
    return generate(value, ([filter, ...index]) => {
      const start = (index[axis] as number) * stride - before;
      const products = taps.map(
        (tap) => at(x, replaced(index, axis, start + tap), 0) * at(filters, [filter as number, tap]),
      );
      return total(products);
    });
  },
  quantizeLinear: (value, x, scale) => {
    const { axis, zeroPoint, dtype } = value.attributes;
    return generate(value, (index) => toGrid(at(x, index), scaleAt(scale, index, axis), zeroPoint, dtype));
  },
  dequantizeLinear: (value, x, scale) => {
    const { axis, zeroPoint } = value.attributes;
    return generate(value, (index) => (at(x, index) - zeroPoint) * scaleAt(scale, index, axis));
  },
  qlinearConv2d,
  maxPool2d: (value, x) => generate(value, (index) => Math.max(...windows(value.attributes, index, x).values)),
  averagePool2d: (value, x) =>
    generate(value, (index) => {
      const { values, count } = windows(value.attributes, index, x);
      return total(values) / (value.attributes.countIncludePad ? count : values.length);
    }),
  reshape: (_, x) => x.data,
  transpose: (value, x) =>
    generate(value, (index) => {
      const source = new Array<number>(index.length);
      value.attributes.permutation.forEach((axis, i) => {
        source[axis] = index[i] as number;
      });
      return at(x, source);
    }),
  expand: (value, x) => generate(value, (index) => at(x, index)),
  slice: (value, x) =>
    generate(value, (index) => {
      const { axes, starts, steps } = value.attributes;
      const source = [...index];
      axes.forEach((axis, i) => {
        source[axis] = (starts[i] as number) + (index[axis] as number) * (steps[i] as number);
      });
      return at(x, source);
    }),
  pad: padded,
  concat: (value, ...inputs) =>
    generate(value, (index) => {
      let position = index[value.attributes.axis] as number;
      for (const input of inputs) {
        const size = input.shape[value.attributes.axis] as number;
        if (position < size) return at(input, replaced(index, value.attributes.axis, position));
        position -= size;
      }
      return Number.NaN;
    }),
  gather: (value, data, indices) =>
    generate(value, (index) => {
      const { axis } = value.attributes;
      const inner = index.slice(axis, axis + indices.shape.length);
      const item = indices.shape.length === 0 ? (indices.data[0] as number) : at(indices, inner);
      return at(data, [...index.slice(0, axis), item, ...index.slice(axis + indices.shape.length)]);
    }),
  pixelShuffle: (value, x) =>
    generate(value, ([n, c, y, xx]) => {
      const r = value.attributes.factor;
      const channel = (c as number) * r * r + ((y as number) % r) * r + ((xx as number) % r);
      return at(x, [n as number, channel, Math.floor((y as number) / r), Math.floor((xx as number) / r)]);
    }),
  pixelUnshuffle: (value, x) =>
    generate(value, ([n, c, y, xx]) => {
      const r = value.attributes.factor;
      const offset = (c as number) % (r * r);
      const channel = Math.floor((c as number) / (r * r));
      return at(x, [
        n as number,
        channel,
        (y as number) * r + Math.floor(offset / r),
        (xx as number) * r + (offset % r),
      ]);
    }),
  upsampleNearest2d: (value, x) =>
    generate(value, ([n, c, y, xx]) => {
      const r = value.attributes.factor;
      return at(x, [n as number, c as number, Math.floor((y as number) / r), Math.floor((xx as number) / r)]);
    }),
};
