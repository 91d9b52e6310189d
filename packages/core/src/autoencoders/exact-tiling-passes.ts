/**
 * The passes in which a part of a program runs in tiles.
 *
 * Attention with a linear kernel, and channel attention, look at the whole picture through a sum over its pixels. Each pass
 * visits all tiles once: it computes a picture from the one that the pass before left, with the sums that are known by
 * then, and the tiles' shares in the next sums. So every pass ends at a value that all later ones can start from, and the
 * result is that of the whole picture.
 */

import type { Grid, Region } from "../graph/tiling/pixel-layout.js";
import {
  buildTile,
  cutValues,
  type PixelFlow,
  pixelFlow,
  type Tile,
  type TileTarget,
} from "../graph/tiling/tile-program.js";
import type { Value } from "../graph/value.js";

/** Name of the input that takes the picture of the pass before. */
export const SEAM = "seam";
/** Name of the output that is the pass's picture. */
export const PICTURE = "picture";

export interface TilePass {
  /** Its source is the picture that the pass starts from. */
  readonly flow: PixelFlow;
  /** The picture that is made; undefined where only sums are. */
  readonly picture: Value | undefined;
  /** The sums that are made, by the names that they have as outputs and, in later passes, as inputs. */
  readonly sums: ReadonlyMap<string, Value>;
  /** Names of the sums that former passes made. */
  readonly known: ReadonlyMap<Value, string>;
  /** Rows and columns of the cells that tiles consist of; all grids are multiples of it. */
  readonly cells: Grid;
}

/** The grid of what a target is computed from. */
function gridOf(flow: PixelFlow, value: Value): Grid {
  const layout = flow.layout(value);
  return layout.kind === "none" ? [1, 1] : layout.grid;
}

const isMultiple = (grid: Grid, cells: Grid) => grid[0] % cells[0] === 0 && grid[1] % cells[1] === 0;

/**
 * How to get from `source` to `target` in tiles; undefined where something between them can't be tiled.
 *
 * @param cells the grid that tile borders keep to
 */
export function outlinePasses(source: Value, target: Value, cells: Grid): TilePass[] | undefined {
  const whole = pixelFlow(source, target);
  if (whole === undefined) return undefined;
  const position = new Map(whole.values.map((value, i) => [value, i]));
  const at = (value: Value) => position.get(value) as number;
  const fits = (value: Value) => isMultiple(gridOf(whole, value), cells);
  const cuts = cutValues(whole).filter((value) => whole.layout(value).kind === "picture" && fits(value));
  const levels = whole.level(target);
  if (!cuts.includes(source) || !cuts.includes(target)) return undefined;

  const passes: TilePass[] = [];
  const known = new Map<Value, string>();
  let start = source;
  for (let level = 0; level <= levels; level++) {
    const sums = whole.values.filter((value) => whole.layout(value).kind === "sum" && whole.level(value) === level + 1);
    if (!sums.every(fits)) return undefined;
    // The last value that these sums and everything behind them can be computed from.
    const first = Math.min(...sums.map(at));
    const before = cuts.filter((value) => whole.level(value) <= level && at(value) < first);
    const end = level === levels ? target : (before.at(-1) as Value);
    const names = new Map(sums.map((value, i) => [`sum.${level}.${i}`, value]));
    const flow = { ...whole, source: start };
    passes.push({ flow, picture: end === start ? undefined : end, sums: names, known: new Map(known), cells });
    for (const [name, value] of names) known.set(value, name);
    start = end;
  }
  return passes;
}

function inGrid([rows, columns]: Region, grid: Grid, cells: Grid): Region {
  const [vertical, horizontal] = [grid[0] / cells[0], grid[1] / cells[1]];
  return [
    { start: rows.start * vertical, stop: rows.stop * vertical },
    { start: columns.start * horizontal, stop: columns.stop * horizontal },
  ];
}

/** The region of the pass's picture that a tile makes. @param region in cells */
export function pictureRegion({ flow, picture, cells }: TilePass, region: Region): Region {
  return inGrid(region, picture === undefined ? cells : gridOf(flow, picture), cells);
}

/** What a pass computes for one tile. @param region in cells */
export function passTile(pass: TilePass, region: Region): Tile {
  const { flow, picture, sums, known, cells } = pass;
  const values = new Map([...(picture === undefined ? [] : [[PICTURE, picture] as const]), ...sums]);
  const targets = [...values].map(([name, value]): [string, TileTarget] => [
    name,
    { value, region: inGrid(region, gridOf(flow, value), cells) },
  ]);
  return buildTile({ flow, targets: Object.fromEntries(targets), source: SEAM, known });
}
