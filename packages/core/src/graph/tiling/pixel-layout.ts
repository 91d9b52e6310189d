/**
 * Where the pixels of a picture lie in a value: what tells a rectangle of a picture from all the rest of a graph.
 *
 * Convolutions see rows and columns as the last two axes; attention sees all pixels along one axis; sums over the pixels see
 * none of them any more. Axes are counted from the end, as broadcasting does.
 */
import { reshape, slice } from "../ops/layout.js";
import type { Padding2d, Value } from "../value.js";

/** Positions start..stop (exclusive) of one axis. */
export interface Range {
  readonly start: number;
  readonly stop: number;
}
export type Region = readonly [rows: Range, columns: Range];
export type Grid = readonly [rows: number, columns: number];

export type PixelLayout =
  /** Rows and columns are the last two axes. */
  | { readonly kind: "picture"; readonly grid: Grid }
  /** One axis (negative) holds rows * columns pixels, row by row. */
  | { readonly kind: "flat"; readonly grid: Grid; readonly axis: number }
  /** A sum over the pixels of this grid: what tiles give adds up. */
  | { readonly kind: "sum"; readonly grid: Grid }
  /** The same for all pixels: weights, and what is computed from sums. */
  | { readonly kind: "none" };

/** The layouts of values that can be computed for a rectangle. */
export type TileLayout = Extract<PixelLayout, { kind: "picture" | "flat" }>;

export const hasPixels = (layout: PixelLayout): layout is TileLayout =>
  layout.kind === "picture" || layout.kind === "flat";

export function sameLayout(a: PixelLayout, b: PixelLayout): boolean {
  const grid = (layout: PixelLayout) => (layout.kind === "none" ? "" : layout.grid.join());
  const axis = (layout: PixelLayout) => (layout.kind === "flat" ? layout.axis : 0);
  return a.kind === b.kind && grid(a) === grid(b) && axis(a) === axis(b);
}

/** The axes that hold pixels, counted from the end. */
export function pixelAxes(layout: TileLayout): readonly number[] {
  return layout.kind === "picture" ? [-2, -1] : [layout.axis];
}

/** Whether a value of `shape` broadcasts to all pixels alike. */
export function sameForAllPixels(shape: Value["shape"], layout: TileLayout): boolean {
  return pixelAxes(layout).every((axis) => (shape.at(axis) ?? 1) === 1);
}

/** Where a tile lies, and how much of what it needs lay outside of the input and was left away. */
export interface TilePlace {
  readonly layout: PixelLayout;
  readonly region: Region;
  readonly cut: Padding2d;
}

export const mapRegion = ([rows, columns]: Region, map: (range: Range, axis: 0 | 1) => Range): Region => [
  map(rows, 0),
  map(columns, 1),
];

/** Rows and columns of a region. */
export const extent = ([rows, columns]: Region): Grid => [rows.stop - rows.start, columns.stop - columns.start];

/** `shape` with the sizes of a tile of `grid` in the place of the pixels. */
export function tileShape(shape: readonly number[], layout: TileLayout, [rows, columns]: Grid): number[] {
  const result = [...shape];
  if (layout.kind === "picture") result.splice(-2, 2, rows, columns);
  else result[shape.length + layout.axis] = rows * columns;
  return result;
}

/** The part `to` of a tile that covers `from`. */
export function cropTile(tile: Value, layout: TileLayout, from: Region, to: Region): Value {
  const whole = extent(from).join() === extent(to).join();
  if (whole) return tile;
  const shape = tile.shape as readonly number[];
  const at = shape.length + (layout.kind === "picture" ? -2 : layout.axis);
  // Of flat pixels, a rectangle can only be cut while they are rows and columns.
  const picture =
    layout.kind === "picture" ? tile : reshape(tile, [...shape.slice(0, at), ...extent(from), ...shape.slice(at + 1)]);
  const cut = to.reduce((result, range, i) => {
    const origin = (from[i] as Range).start;
    return slice(result, at + i, range.start - origin, range.stop - origin);
  }, picture);
  return layout.kind === "picture" ? cut : reshape(cut, tileShape(shape, layout, extent(to)));
}
