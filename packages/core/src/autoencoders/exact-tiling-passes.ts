/**
 * The passes in which a part of a program runs in tiles.
 *
 * Attention with a linear kernel, and channel attention, look at the whole picture through a sum over its pixels. Each pass
 * visits all tiles once: it computes a picture from the one that the pass before left, with the sums that are known by
 * then, and the tiles' shares in the next sums. So every pass ends at a value that all later ones can start from, and the
 * result is that of the whole picture.
 */

import { ConfigError } from "../errors.js";
import { inlineComposites, mapProgram } from "../graph/map-graph.js";
import { input } from "../graph/ops/elementwise.js";
import { createProgram, type Program } from "../graph/program.js";
import { sizeOf } from "../graph/tensor.js";
import type { Grid, Region } from "../graph/tiling/pixel-layout.js";
import {
  buildTile,
  cutValues,
  type PixelFlow,
  pixelFlow,
  type Tile,
  type TileTarget,
  valuesBetween,
} from "../graph/tiling/tile-program.js";
import { tileOf } from "../graph/tiling/tile-rules.js";
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
function outlinePasses(source: Value, target: Value, cells: Grid): TilePass[] | undefined {
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

// The ways to divide a program into a part that runs whole and a part that runs in tiles.
//
// The whole part is the deep end, where pictures are small. In an encoder the tiled part comes first, in a decoder last.

/** A program with one input and one output. */
export interface Ends {
  readonly program: Program;
  readonly x: Value;
  readonly y: Value;
  /** The grid of the latent, which tile borders keep to. */
  readonly cells: Grid;
  /** Whether the output is the smaller one. */
  readonly encodes: boolean;
}

export interface Division {
  /** Which part is tiled. */
  readonly tiled: "first" | "last";
  /** The other part; undefined where everything is tiled. */
  readonly whole: Program | undefined;
  /** The value between the two. */
  readonly seam: Value;
  readonly passes: readonly TilePass[];
}

export const bytesOf = (value: Value): number => 4 * sizeOf(value.shape as readonly number[]);

const sidesOf = (value: Value): Grid => value.shape.slice(2) as unknown as Grid;

/** @throws ConfigError for other programs than pictures to latents or back */
export function programEnds(original: Program): Ends {
  // What can't be computed in tiles as a whole may be in parts.
  const program = inlineComposites(original, (value) => tileOf(value) !== undefined);
  const [x, ...otherInputs] = program.inputs.values();
  const [y, ...otherOutputs] = program.outputs.values();
  if (x === undefined || y === undefined || otherInputs.length + otherOutputs.length > 0) {
    throw new ConfigError(`exact tiling: "${program.name}" must have one input and one output`);
  }
  const [first, last] = [sidesOf(x as Value), sidesOf(y)];
  const encodes = first[0] > last[0];
  return { program, x: x as Value, y, cells: encodes ? last : first, encodes };
}

/** The program from `value` on, as a function of an input in its place. */
function programAfter(program: Program, value: Value): Program {
  const seam = input(SEAM, value.shape, value.dtype);
  return mapProgram(
    program,
    (_current, _inputs, keep) => keep(),
    (current) => (current === value ? seam : undefined),
  );
}

/** Every division between two blocks, those that keep more whole first. */
export function* divisions({ program, x, y, cells, encodes }: Ends): Generator<Division> {
  const values = valuesBetween(x, y);
  const users = new Map<Value, number>();
  for (const { inputs } of values) {
    for (const operand of inputs) users.set(operand, (users.get(operand) ?? 0) + 1);
  }
  // Blocks begin where a value goes into a branch and past it.
  const isBorder = (value: Value) => value === x || value === y || (users.get(value) ?? 0) > 1;
  const cuts = cutValues({ source: x, target: y, values }).filter(isBorder);
  for (const seam of encodes ? cuts.slice(1) : cuts.slice(0, -1).reverse()) {
    const passes = encodes ? outlinePasses(x, seam, cells) : outlinePasses(seam, y, cells);
    if (passes === undefined) continue;
    if (encodes) {
      yield { tiled: "first", whole: seam === y ? undefined : programAfter(program, seam), seam, passes };
    } else {
      const whole = seam === x ? undefined : createProgram(program.name, { [SEAM]: seam });
      yield { tiled: "last", whole, seam, passes };
    }
  }
}

/**
 * Elements of the two buffers that take turns to hold what passes make. What the last one makes is handed on, and isn't among
 * them.
 */
export function seamBuffers(passes: readonly TilePass[]): readonly [number, number] {
  const sizes: [number, number] = [0, 0];
  let made = 0;
  for (const { picture } of passes.slice(0, -1)) {
    if (picture === undefined) continue;
    const turn = made++ % 2;
    sizes[turn] = Math.max(sizes[turn] as number, bytesOf(picture) / 4);
  }
  return sizes;
}

/** Bytes of pictures on the host during each pass: the caller's input, seams, and the result of the last pass. */
export function heldBytes({ passes }: Division, { x }: Ends): number[] {
  const [even, odd] = seamBuffers(passes);
  return passes.map(({ flow: { source }, picture }, i) => {
    const before = i === 0 && source !== x ? bytesOf(source) : 0;
    const result = i === passes.length - 1 && picture !== undefined ? bytesOf(picture) : 0;
    return bytesOf(x) + before + 4 * (even + odd) + result;
  });
}
