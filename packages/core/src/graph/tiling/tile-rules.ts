/**
 * Which part of its inputs an op needs for a part of its output, one op at a time: where the pixels go, receptive fields, and
 * what sums over pixels become for a tile.
 *
 * `layout` gives undefined where an op mixes pixels in a way that tiles can't follow (a softmax over pixels, a product of
 * all pixels with all). The table is mapped over all ops, so that a new one has to take a side.
 */
import { build } from "../build.js";
import { compositeRow, maker, rebuild } from "../composites/composite.js";
import type { CompositeName, CompositeTile } from "../composites/composite-row.js";
import { mul, reduceMean } from "../ops/elementwise.js";
import { slice } from "../ops/layout.js";
import { sizeOf } from "../tensor.js";
import type { OpAttributes, OpName, Padding2d, Value, ValueOf } from "../value.js";
import {
  extent,
  type Grid,
  hasPixels,
  mapRegion,
  type PixelLayout,
  pixelAxes,
  type Region,
  sameForAllPixels,
  sameLayout,
  type TileLayout,
  type TilePlace,
  tileShape,
} from "./pixel-layout.js";

export interface TileRule<K extends OpName> {
  /** Where the output's pixels lie; at least one of `inputs` has pixels. Undefined: the op can't be tiled. */
  layout(value: ValueOf<K>, inputs: readonly PixelLayout[]): PixelLayout | undefined;
  /**
   * The region of an input with pixels for a region of the output (of a sum: of its inputs). It may reach beyond the input
   * where that is padded. Default: the same.
   */
  need?(value: ValueOf<K>, region: Region): Region;
  /**
   * The op on the inputs' tiles; default: the same op. `cut` is how much of `need` lay outside of the input and was left
   * away.
   */
  make?(value: ValueOf<K>, inputs: readonly Value[], tile: TilePlace): Value;
  /** Pixels of the output that are made at once, along each axis: the place within such a cell matters. Default 1. */
  cell?(value: ValueOf<K>): number;
}

const shapeOf = (value: { readonly shape: Value["shape"] }) => value.shape as readonly number[];

/** The one layout of all inputs that have pixels, if the others broadcast over it. */
function common(value: { readonly inputs: readonly Value[] }, inputs: readonly PixelLayout[]): TileLayout | undefined {
  const layout = inputs.find(hasPixels);
  const fits = inputs.every((other, i) =>
    hasPixels(other)
      ? layout !== undefined && sameLayout(other, layout)
      : layout !== undefined && sameForAllPixels((value.inputs[i] as Value).shape, layout),
  );
  return fits ? layout : undefined;
}

/** Output pixels come from the same pixels of every input. */
const pointwise = { layout: common };

/** Whether axes (non-negative) of an input leave its pixels alone. */
const outside = (axes: readonly number[], rank: number, layout: TileLayout) =>
  pixelAxes(layout).every((axis) => !axes.includes(rank + axis));

/** As pointwise, where `axes` has no axis with pixels. */
function unlessAlong<K extends OpName>(axesOf: (value: ValueOf<K>) => readonly number[]) {
  return {
    layout(value: ValueOf<K>, inputs: readonly PixelLayout[]): PixelLayout | undefined {
      const layout = common(value, inputs);
      const rank = (value.inputs as readonly Value[])[0]?.shape.length ?? 0;
      return layout !== undefined && outside(axesOf(value), rank, layout) ? layout : undefined;
    },
  };
}

/** The layout of `shape` with `axes` taken out (or kept with size 1). */
function reducedLayout(rank: number, { axes, keepDims }: OpAttributes<"reduceSum">, layout: TileLayout): PixelLayout {
  const within = pixelAxes(layout).filter((axis) => axes.includes(rank + axis));
  if (within.length > 0) return { kind: "sum", grid: layout.grid };
  if (layout.kind === "picture" || keepDims) return layout;
  const after = axes.filter((axis) => axis > rank + layout.axis).length;
  return { ...layout, axis: layout.axis + after };
}

function reducing<K extends "reduceSum" | "reduceMean" | "reduceMax">(additive: boolean) {
  return {
    layout(value: ValueOf<K>, [layout]: readonly PixelLayout[]): PixelLayout | undefined {
      if (layout === undefined || !hasPixels(layout)) return undefined;
      const { axes } = value.attributes;
      const rank = value.inputs[0].shape.length;
      const hit = pixelAxes(layout).filter((axis) => axes.includes(rank + axis)).length;
      // Rows without columns: the result is a line of the picture, not a sum.
      if (hit > 0 && (!additive || hit < pixelAxes(layout).length)) return undefined;
      return reducedLayout(rank, value.attributes, layout);
    },
    make(value: ValueOf<K>, [x]: readonly Value[], { layout }: TilePlace): Value {
      if (layout.kind !== "sum" || value.op === "reduceSum") return rebuild(value as Value, [x as Value]);
      // A tile's share of the mean over all pixels. As a mean: the runtime adds up squares for a sum less exactly.
      const counted = (of: Value) => {
        const shape = shapeOf(of);
        return sizeOf(value.attributes.axes.map((axis) => shape[axis] as number));
      };
      const mean = reduceMean(x as Value, value.attributes.axes, value.attributes);
      return mul(mean, counted(x as Value) / counted(value.inputs[0]));
    },
  };
}

/** Where reshape and expand put the pixels of `from`. */
function reshapedLayout(to: readonly number[], from: TileLayout): TileLayout | undefined {
  const { grid } = from;
  // Pixels that aren't at the end could only move together with what is behind them.
  if (from.kind === "flat" && from.axis !== -1) return undefined;
  if (to.length >= 3 && to.slice(-2).join() === grid.join()) return { kind: "picture", grid };
  if (to.length >= 2 && to.at(-1) === sizeOf(grid)) return { kind: "flat", grid, axis: -1 };
  return undefined;
}

const toTileShape = (
  value: ValueOf<"reshape"> | ValueOf<"expand">,
  [x]: readonly Value[],
  { layout, region }: TilePlace,
) => build(value.op, [x as Value], { shape: tileShape(shapeOf(value), layout as TileLayout, extent(region)) });

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

/** The output of a spatial op on a picture. */
function spatialLayout(value: { readonly shape: Value["shape"] }, inputs: readonly PixelLayout[]) {
  const [x, ...filters] = inputs;
  if (x?.kind !== "picture" || filters.some((layout) => layout.kind !== "none")) return undefined;
  return { kind: "picture", grid: shapeOf(value).slice(-2) as unknown as Grid } as const;
}

const pooling = {
  // Padded pools count what is outside in several ways; no model here pads one.
  layout: (value: ValueOf<"averagePool2d"> | ValueOf<"maxPool2d">, inputs: readonly PixelLayout[]) =>
    Object.values(value.attributes.padding).every((amount) => amount === 0) ? spatialLayout(value, inputs) : undefined,
  need: ({ attributes }: ValueOf<"averagePool2d"> | ValueOf<"maxPool2d">, region: Region) =>
    windowNeed({ ...attributes, dilation: [1, 1] }, region),
};

/** Ops that enlarge by a factor make whole cells, of which the region is cut out. */
const enlarging = {
  layout: spatialLayout,
  cell: ({ attributes: { factor } }: { attributes: { readonly factor: number } }) => factor,
  need: ({ attributes: { factor } }: { attributes: { readonly factor: number } }, region: Region) =>
    mapRegion(region, ({ start, stop }) => ({ start: Math.floor(start / factor), stop: Math.ceil(stop / factor) })),
  make(
    value: ValueOf<"pixelShuffle"> | ValueOf<"upsampleNearest2d">,
    inputs: readonly Value[],
    { region }: TilePlace,
  ): Value {
    const cells = rebuild(value as Value, inputs);
    const { factor } = value.attributes;
    const rank = cells.shape.length;
    return region.reduce((result, { start, stop }, i) => {
      const from = start - Math.floor(start / factor) * factor;
      return slice(result, rank - 2 + i, from, from + stop - start);
    }, cells);
  },
};

/** Products with the same matrix for all pixels keep them; products over the pixels sum them up. */
function productLayout([a, b]: readonly PixelLayout[]): PixelLayout | undefined {
  const axis = (layout: PixelLayout | undefined) => (layout?.kind === "flat" ? layout.axis : undefined);
  if (a === undefined || b === undefined || a.kind === "picture" || b.kind === "picture") return undefined;
  if (a.kind === "flat" && b.kind === "flat") {
    const over = axis(a) === -1 && axis(b) === -2 && a.grid.join() === b.grid.join();
    return over ? { kind: "sum", grid: a.grid } : undefined;
  }
  if (a.kind === "flat") return axis(a) === -2 ? a : undefined;
  return axis(b) === -1 ? b : undefined;
}

/** A row per op; a missing one doesn't compile. Null: no picture goes through it. */
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
  reduceSum: reducing<"reduceSum">(true),
  reduceMean: reducing<"reduceMean">(true),
  reduceMax: reducing<"reduceMax">(false),
  softmax: unlessAlong<"softmax">(({ attributes: { axis } }) => [axis]),
  matmul: { layout: (_value, inputs) => productLayout(inputs) },
  conv2d: {
    layout: spatialLayout,
    need: (value, region) => windowNeed(windowOf(value), region),
    // Zeros are added only where the picture ends.
    make: (value, inputs, { cut }) => rebuild(value as Value, inputs, { ...value.attributes, padding: cut }),
  },
  // Programs are cut before they are quantized.
  quantizeLinear: null,
  dequantizeLinear: null,
  qlinearConv2d: null,
  convTranspose2d: null,
  filterBank: null,
  maxPool2d: pooling,
  averagePool2d: pooling,
  reshape: {
    layout: (value, [x]) => (x && hasPixels(x) ? reshapedLayout(shapeOf(value), x) : undefined),
    make: toTileShape,
  },
  transpose: {
    layout({ attributes: { permutation } }, [x]) {
      if (x === undefined || !hasPixels(x)) return undefined;
      const rank = permutation.length;
      if (x.kind === "flat") return { ...x, axis: permutation.indexOf(rank + x.axis) - rank };
      return permutation.at(-2) === rank - 2 && permutation.at(-1) === rank - 1 ? x : undefined;
    },
  },
  expand: {
    layout: (value, [x]) => {
      if (x === undefined || !hasPixels(x)) return undefined;
      const sizes = (shape: readonly number[]) => pixelAxes(x).map((axis) => shape.at(axis));
      return sizes(shapeOf(value)).join() === sizes(shapeOf(value.inputs[0])).join() ? x : undefined;
    },
    make: toTileShape,
  },
  slice: unlessAlong<"slice">(({ attributes: { axes } }) => axes),
  pad: unlessAlong<"pad">(({ attributes: { before, after } }) =>
    before.flatMap((amount, axis) => (amount > 0 || (after[axis] as number) > 0 ? [axis] : [])),
  ),
  concat: {
    layout(value, inputs) {
      const layout = common(value, inputs);
      const allHavePixels = inputs.every(hasPixels);
      const rank = value.shape.length;
      return layout && allHavePixels && outside([value.attributes.axis], rank, layout) ? layout : undefined;
    },
  },
  gather: null,
  pixelShuffle: enlarging,
  pixelUnshuffle: {
    layout: spatialLayout,
    need: ({ attributes: { factor } }, region) =>
      mapRegion(region, ({ start, stop }) => ({ start: start * factor, stop: stop * factor })),
  },
  upsampleNearest2d: enlarging,
  sumOverRanks: null,
  composite: {
    layout: (value, inputs) => tileOf(value)?.layout(value as never, inputs),
    need: (value, region) => tileOf(value)?.need?.(value as never, region) ?? region,
    make: (value, inputs, place) =>
      tileOf(value)?.make?.(value as never, inputs, place, maker(value) as never) ?? rebuild(value as Value, inputs),
    cell: (value) => tileOf(value)?.cell?.(value as never) ?? 1,
  },
};

/** The row of a composite that can be computed in tiles as a whole. */
export function tileOf(value: ValueOf<"composite">): CompositeTile<CompositeName> | undefined {
  const tile = compositeRow(value).tile as CompositeTile<CompositeName> | undefined;
  return tile?.fits(value as never) ? tile : undefined;
}

/** The row of a value's op. */
export function ruleOf(value: Value): TileRule<OpName> | null {
  return tileRules[value.op] as TileRule<OpName> | null;
}
