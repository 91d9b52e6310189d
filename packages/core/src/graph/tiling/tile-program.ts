/**
 * The part of a graph that a tile needs: rectangles of values as a graph of their own.
 *
 * Regions are propagated from what is wanted back to the source with `tileRules`; a value that several others use is
 * computed on the hull of what they need. Then the graph is built again on these regions: convolutions are padded only where
 * the picture ends, everything else sees real neighbors, so a tile's pixels are those of the whole picture. Sums over the
 * pixels that are known come in as inputs; sums that are wanted come out as the tile's share.
 */

import { cutsOf, dependents, topologicalOrder } from "../analyze.js";
import { rebuild } from "../composites/composite.js";
import { isStaticShape } from "../dim.js";
import { graphMapper } from "../map-graph.js";
import { input } from "../ops/elementwise.js";
import type { Padding2d, Value } from "../value.js";
import { cropTile, extent, type Grid, hasPixels, type PixelLayout, type Range, type Region } from "./pixel-layout.js";
import { ruleOf } from "./tile-rules.js";

/** What a tile computes: a region of a value with pixels, or the share of a region in a sum over the pixels. */
export interface TileTarget {
  readonly value: Value;
  /** In the value's grid; for a sum in the grid that is summed over. */
  readonly region: Region;
}

export interface Tile {
  /** By the names of the targets; depends on an input `source` and one for each known sum. */
  readonly outputs: Readonly<Record<string, Value>>;
  readonly sourceRegion: Region;
  /** Equal for tiles whose graphs are equal, so that one loaded program serves them all. */
  readonly key: string;
}

interface TileRequest {
  readonly flow: PixelFlow;
  readonly targets: Readonly<Record<string, TileTarget>>;
  /** Name of the input that takes the region of the source. */
  readonly source: string;
  /** Names of the inputs that take sums over all pixels. */
  readonly known: ReadonlyMap<Value, string>;
}

const hull = (a: Range, b: Range): Range => ({ start: Math.min(a.start, b.start), stop: Math.max(a.stop, b.stop) });
const clamp = ({ start, stop }: Range, size: number): Range => ({
  start: Math.max(0, start),
  stop: Math.min(size, stop),
});
const within = ([rows, columns]: Region, [height, width]: Grid): Region => [clamp(rows, height), clamp(columns, width)];

/** What an operand must provide, before it is cut at the picture's borders. */
const needOf = (value: Value, region: Region): Region => ruleOf(value)?.need?.(value as never, region) ?? region;

/** On which regions of values the targets depend. */
function requiredRegions({ flow, targets, known }: TileRequest): ReadonlyMap<Value, Region> {
  const wanted = new Set<Value>();
  const regions = new Map<Value, Region>();
  const want = (value: Value, region: Region | undefined) => {
    wanted.add(value);
    if (region === undefined) return;
    const before = regions.get(value);
    regions.set(value, before === undefined ? region : [hull(before[0], region[0]), hull(before[1], region[1])]);
  };
  for (const { value, region } of Object.values(targets)) want(value, region);
  // Users come after their inputs, so backwards every region is complete when it is used.
  for (let i = flow.values.length - 1; i >= 0; i--) {
    const value = flow.values[i] as Value;
    if (!wanted.has(value)) continue;
    if (value === flow.source || known.has(value)) continue;
    const own = regions.get(value);
    for (const operand of value.inputs) {
      const layout = flow.layout(operand);
      if (hasPixels(layout)) want(operand, within(needOf(value, own as Region), layout.grid));
      else if (flow.has(operand)) want(operand, undefined);
    }
  }
  return regions;
}

const NO_CUT: Padding2d = { top: 0, left: 0, bottom: 0, right: 0 };

const offset = (from: Region, to: Region): Grid => [to[0].start - from[0].start, to[1].start - from[1].start];

const cellSize = (value: Value): number => ruleOf(value)?.cell?.(value as never) ?? 1;

/** How much of `need` lies outside of what there is. */
const outside = (need: Region, inside: Region): Padding2d => ({
  top: inside[0].start - need[0].start,
  left: inside[1].start - need[1].start,
  bottom: need[0].stop - inside[0].stop,
  right: need[1].stop - inside[1].stop,
});

/** The graph of one tile. */
export function buildTile(request: TileRequest): Tile {
  const { flow, targets, source, known } = request;
  const regions = requiredRegions(request);
  const sourceRegion = regions.get(flow.source) as Region;
  const sourceShape = [...flow.source.shape.slice(0, 2), ...extent(sourceRegion)];
  const key: string[] = [sourceShape.join("x")];

  /** The part of an operand's tile that `need` of its user asks for, and what is missing of it beyond the picture. */
  function operandTile(operand: Value, tile: Value, need: Region): { readonly tile: Value; readonly cut: Padding2d } {
    const layout = flow.layout(operand);
    if (!hasPixels(layout)) return { tile, cut: NO_CUT };
    const available = regions.get(operand) as Region;
    const inside = within(need, layout.grid);
    const cut = outside(need, inside);
    key.push([...extent(inside), ...offset(available, inside), ...Object.values(cut)].join());
    return { tile: cropTile(tile, layout, available, inside), cut };
  }

  /** What stands for a value from the start: inputs of the tile, and what is the same for all tiles. */
  function given(value: Value): Value | undefined {
    if (value === flow.source) return input(source, sourceShape, value.dtype);
    const name = known.get(value);
    if (name !== undefined) return input(name, value.shape, value.dtype);
    return flow.has(value) ? undefined : value;
  }

  const toTile = graphMapper((value, tiles, keep) => {
    const region = regions.get(value);
    if (region === undefined) return keep();
    const need = needOf(value, region);
    const operands = value.inputs.map((operand, i) => operandTile(operand, tiles[i] as Value, need));
    // Only convolutions of one picture reach beyond it.
    const cut = operands[0]?.cut ?? NO_CUT;
    const inputs = operands.map(({ tile }) => tile);
    // Where cells of several pixels are made whole and cut, the place within a cell matters.
    if (cellSize(value) > 1) key.push(region.map(({ start }) => start % cellSize(value)).join());
    const layout = flow.layout(value);
    return ruleOf(value)?.make?.(value as never, inputs, { layout, region, cut }) ?? rebuild(value, inputs);
  }, given);
  const outputs = Object.entries(targets).map(([name, { value, region }]) => [
    name,
    operandTile(value, toTile(value), region).tile,
  ]);
  return { outputs: Object.fromEntries(outputs), sourceRegion, key: key.join(" ") };
}

// How the pixels of a picture flow from one value of a graph to another: where they lie in every value between, and how many
// sums over all pixels come before it.
//
// A value behind a sum can be computed in tiles only when all tiles have contributed to the sum; `level` counts such sums.

export interface PixelFlow {
  readonly source: Value;
  readonly target: Value;
  /** What depends on the source, inputs first; the source is the first, the target the last. */
  readonly values: readonly Value[];
  has(value: Value): boolean;
  /** "none" for values that don't depend on the source. */
  layout(value: Value): PixelLayout;
  /** Sums over pixels on the longest way from the source. */
  level(value: Value): number;
}

const NONE: PixelLayout = { kind: "none" };

/** What depends on `source` on the way to `target`, inputs first, both included; empty if the target doesn't. */
export function valuesBetween(source: Value, target: Value): Value[] {
  const found = dependents(topologicalOrder([target]), (value) => value === source);
  return found.has(target) ? [...found] : [];
}

/** Undefined where a value between the two can't be computed in tiles, or depends on other inputs of the program. */
export function pixelFlow(source: Value, target: Value): PixelFlow | undefined {
  if (source.shape.length !== 4 || !isStaticShape(source.shape)) return undefined;
  const values = valuesBetween(source, target);
  if (values.length === 0) return undefined;
  const foreign = dependsOnOtherInputs(source, target);
  const grid = source.shape.slice(2) as unknown as Grid;
  const layouts = new Map<Value, PixelLayout>([[source, { kind: "picture", grid }]]);
  const levels = new Map<Value, number>([[source, 0]]);
  for (const value of values.slice(1)) {
    const layout = value.inputs.some((operand) => foreign.has(operand)) ? undefined : layoutOf(value, layouts);
    if (layout === undefined) return undefined;
    const before = Math.max(...value.inputs.map((operand) => levels.get(operand) ?? 0));
    layouts.set(value, layout);
    levels.set(value, layout.kind === "sum" ? before + 1 : before);
  }
  return {
    source,
    target,
    values,
    has: (value) => layouts.has(value),
    layout: (value) => layouts.get(value) ?? NONE,
    level: (value) => levels.get(value) ?? 0,
  };
}

/** What depends on inputs of the program, but not on the source. */
function dependsOnOtherInputs(source: Value, target: Value): ReadonlySet<Value> {
  const order = topologicalOrder([target]);
  const behind = dependents(order, (value) => value === source);
  return dependents(
    order.filter((value) => !behind.has(value)),
    ({ op }) => op === "input",
  );
}

function layoutOf(value: Value, layouts: ReadonlyMap<Value, PixelLayout>): PixelLayout | undefined {
  if (!isStaticShape(value.shape)) return undefined;
  const inputs = value.inputs.map((operand) => layouts.get(operand) ?? NONE);
  // What is computed from sums alone is small, and the same for every tile.
  if (inputs.every(({ kind }) => kind === "none" || kind === "sum")) return NONE;
  return ruleOf(value)?.layout(value as never, inputs);
}

/** Values of rank 4 that every way from `source` to `target` passes through, both ends included. */
export function cutValues({ source, target, values }: Pick<PixelFlow, "source" | "target" | "values">): Value[] {
  return cutsOf(values).filter((value) => value.shape.length === 4 || value === source || value === target);
}
