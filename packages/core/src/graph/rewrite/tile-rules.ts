/**
 * Which part of its inputs an op needs for a part of its output: receptive fields, one op at a time.
 *
 * A picture's rows and columns are the last two axes of a value, at whatever rank and resolution. An op is local when a
 * rectangle of its output depends on a rectangle of each input; `null` stands for ops that aren't (matrix products over
 * pixels, statistics over the picture). The table is mapped over all ops, so that a new one has to take a side.
 */
import { build } from "../build.js";
import { slice } from "../ops/layout.js";
import type { OpAttributes, OpName, Padding2d, Value, ValueOf } from "../value.js";

/** Positions start..stop (exclusive) of one axis. */
export interface Range {
  readonly start: number;
  readonly stop: number;
}
export type Region = readonly [rows: Range, columns: Range];

export interface TileRule<K extends OpName> {
  /** Whether the op is local with these attributes and shapes. */
  accepts?(value: ValueOf<K>): boolean;
  /** The region of an input for a region of the output. It may reach beyond the input where that is padded. */
  need(value: ValueOf<K>, region: Region): Region;
  /** The op on the inputs' tiles. `cut` is how much of `need` lay outside of the input and was left away. */
  make(value: ValueOf<K>, inputs: readonly Value[], region: Region, cut: Padding2d): Value;
}

const rebuild = (value: Value, inputs: readonly Value[], attributes: object): Value =>
  build<OpName>(value.op, inputs as never, attributes as never);

const mapRegion = ([rows, columns]: Region, map: (range: Range, axis: 0 | 1) => Range): Region => [
  map(rows, 0),
  map(columns, 1),
];

/** Output pixels come from the same pixels of every input. */
const pointwise = {
  need: (_value: Value, region: Region) => region,
  make: (value: Value, inputs: readonly Value[]) => rebuild(value, inputs, value.attributes),
};

/** Axis numbers that leave rows and columns alone. */
const outsidePicture = (axes: readonly number[], rank: number) => axes.every((axis) => axis < rank - 2);
const keepsPicture = (from: Value, to: Value) => from.shape.slice(-2).join() === to.shape.slice(-2).join();

/** Reshape and expand: the shape they aim at ends with the size of the tile. */
const reshaping = {
  accepts: (value: ValueOf<"reshape"> | ValueOf<"expand">) => keepsPicture(value.inputs[0], value as Value),
  need: (_value: unknown, region: Region) => region,
  make(value: ValueOf<"reshape"> | ValueOf<"expand">, [x]: readonly Value[]): Value {
    const shape = [...value.shape.slice(0, -2), ...(x as Value).shape.slice(-2)];
    return build(value.op, [x as Value], { shape });
  },
};

const reducing = {
  accepts: ({ inputs: [x], attributes }: { inputs: readonly [Value]; attributes: OpAttributes<"reduceMean"> }) =>
    outsidePicture(attributes.axes, x.shape.length),
  ...pointwise,
};

interface Window {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly padding: Padding2d;
}

function windowNeed({ kernel, stride, dilation, padding }: Window, region: Region): Region {
  const before = [padding.top, padding.left] as const;
  return mapRegion(region, ({ start, stop }, axis) => ({
    start: start * stride[axis] - before[axis],
    stop: (stop - 1) * stride[axis] - before[axis] + (kernel[axis] - 1) * dilation[axis] + 1,
  }));
}

const windowOf = (value: ValueOf<"conv2d">): Window => {
  const [kernelHeight, kernelWidth] = value.inputs[1].shape.slice(2) as [number, number];
  return { ...value.attributes, kernel: [kernelHeight, kernelWidth] };
};

const pooling = {
  // Padded pools count what is outside in several ways; no model here pads one.
  accepts: ({ attributes: { padding } }: ValueOf<"averagePool2d"> | ValueOf<"maxPool2d">) =>
    Object.values(padding).every((amount) => amount === 0),
  need: ({ attributes }: ValueOf<"averagePool2d"> | ValueOf<"maxPool2d">, region: Region) =>
    windowNeed({ ...attributes, dilation: [1, 1] }, region),
  make: pointwise.make,
};

/** Ops that enlarge by a factor make whole cells, of which the region is cut out. */
const enlarging = {
  need: ({ attributes: { factor } }: { attributes: { readonly factor: number } }, region: Region) =>
    mapRegion(region, ({ start, stop }) => ({ start: Math.floor(start / factor), stop: Math.ceil(stop / factor) })),
  make(value: ValueOf<"pixelShuffle"> | ValueOf<"upsampleNearest2d">, inputs: readonly Value[], region: Region): Value {
    const cells = rebuild(value as Value, inputs, value.attributes);
    const { factor } = value.attributes;
    const rank = cells.shape.length;
    return region.reduce((result, { start, stop }, i) => {
      const from = start - Math.floor(start / factor) * factor;
      return slice(result, rank - 2 + i, from, from + stop - start);
    }, cells);
  },
};

/** A row per op; a missing one doesn't compile. */
export const tileRules: { readonly [K in OpName]: TileRule<K> | null } = {
  // Leaves are cut, not computed.
  input: null,
  parameter: null,
  constant: null,
  neg: pointwise,
  abs: pointwise,
  sign: pointwise,
  exp: pointwise,
  log: pointwise,
  sqrt: pointwise,
  sin: pointwise,
  cos: pointwise,
  tanh: pointwise,
  sigmoid: pointwise,
  erf: pointwise,
  relu: pointwise,
  cast: pointwise,
  add: pointwise,
  sub: pointwise,
  mul: pointwise,
  div: pointwise,
  pow: pointwise,
  maximum: pointwise,
  minimum: pointwise,
  equal: pointwise,
  greater: pointwise,
  less: pointwise,
  where: pointwise,
  reduceSum: reducing,
  reduceMean: reducing,
  reduceMax: reducing,
  softmax: {
    accepts: ({ inputs: [x], attributes }) => outsidePicture([attributes.axis], x.shape.length),
    ...pointwise,
  },
  matmul: null,
  conv2d: {
    need: (value, region) => windowNeed(windowOf(value), region),
    // Zeros are added only where the picture ends.
    make: (value, inputs, _region, cut) => rebuild(value as Value, inputs, { ...value.attributes, padding: cut }),
  },
  convTranspose2d: null,
  maxPool2d: pooling,
  averagePool2d: pooling,
  reshape: reshaping,
  transpose: {
    accepts: ({ attributes: { permutation } }) =>
      permutation.slice(-2).every((axis, i) => axis === permutation.length - 2 + i),
    ...pointwise,
  },
  expand: reshaping,
  slice: {
    accepts: ({ inputs: [x], attributes }) => outsidePicture(attributes.axes, x.shape.length),
    ...pointwise,
  },
  pad: {
    accepts: ({ attributes: { before, after } }) => [...before.slice(-2), ...after.slice(-2)].every((n) => n === 0),
    ...pointwise,
  },
  concat: { accepts: (value) => outsidePicture([value.attributes.axis], value.shape.length), ...pointwise },
  gather: null,
  pixelShuffle: enlarging,
  pixelUnshuffle: {
    need: ({ attributes: { factor } }, region) =>
      mapRegion(region, ({ start, stop }) => ({ start: start * factor, stop: stop * factor })),
    make: pointwise.make,
  },
  upsampleNearest2d: enlarging,
};

/** Rows and columns of a value. */
export function pictureSize(value: Value): readonly [number, number] {
  const size = (axis: number) => (value.shape.at(axis) ?? 1) as number;
  return [size(-2), size(-1)];
}
