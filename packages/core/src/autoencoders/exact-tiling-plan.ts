/**
 * How to run a program in bounded memory with the same result: where to cut it in two, and how large tiles may be.
 *
 * One part runs whole: it holds everything that sees all pixels at once (attention), at the lowest resolutions, where it is
 * small. The other part is local and runs in tiles whose halos follow from the graph (graph/rewrite/tile-program.ts). In an
 * encoder the local part comes first, in a decoder last. Of all cuts and tile sizes that fit the budget, the one with the
 * least arithmetic is taken: larger tiles compute less of their halos twice, a cut closer to the deep end makes the whole
 * part smaller and halos wider.
 */
import { ConfigError } from "../errors.js";
import { countMacs } from "../graph/count-macs.js";
import { input } from "../graph/ops/leaves.js";
import { createProgram, type Program } from "../graph/program.js";
import { rewriteProgram } from "../graph/rewrite/rebuild.js";
import { buildTile, localPath } from "../graph/rewrite/tile-program.js";
import { pictureSize, type Region } from "../graph/rewrite/tile-rules.js";
import { topologicalOrder } from "../graph/traverse.js";
import type { Value } from "../graph/value.js";
import { programMemory } from "./exact-tiling-memory.js";

/** Name of the value at the cut, as output of one part and input of the other. */
export const SEAM = "seam";
/** What Node and the runtime take themselves. */
const BASE_BYTES = 180e6;
/**
 * Bytes at run time per predicted byte of intermediate values: the arena of the runtime keeps blocks of past sizes, and
 * convolutions have packed copies of their inputs.
 */
const ACTIVATION_FACTOR = 1.35;
/** Tile sides to try, in pixels of the picture; the actual ones are equal parts of it. */
const TILE_SIDES = [4096, 2048, 1536, 1024, 768, 512, 384, 256, 128, 64, 32];

export interface ExactPlan {
  /** "whole": no tiles are needed. Otherwise which part is tiled: "first" or "last". */
  readonly tiled: "whole" | "first" | "last";
  /** The part that runs whole; undefined where everything is tiled. */
  readonly whole: Program | undefined;
  /** The tiled part: tiles of `path`'s last value. Empty for "whole". */
  readonly source: Value | undefined;
  readonly path: readonly Value[];
  readonly regions: readonly Region[];
  /** Predicted peak of the process in bytes. */
  readonly bytes: number;
  /** Multiply-accumulates of all parts and tiles relative to the whole program. */
  readonly overhead: number;
}

export interface PlanOptions {
  /** Bytes that the process may take at its peak. */
  readonly maxMemory: number;
  /** The form in which the engine runs programs; default: as they are. */
  readonly prepare?: ((program: Program) => Program) | undefined;
}

interface Cut {
  readonly tiled: "first" | "last";
  readonly value: Value;
  readonly source: Value;
  readonly path: readonly Value[];
  readonly whole: Program | undefined;
}

/** Values that every way from the program's input to its output passes through. */
function cutValues(x: Value, y: Value): Value[] {
  const order = topologicalOrder([y]);
  const varying = new Set<Value>();
  for (const value of order) {
    if (value === x || value.inputs.some((operand) => varying.has(operand))) varying.add(value);
  }
  const steps = order.filter((value) => varying.has(value));
  const position = new Map(steps.map((value, i) => [value, i]));
  // A value is a cut if no edge passes it by: `reach` is the furthest user of anything before it.
  let reach = 0;
  const lastUser = steps.map((value) => position.get(value) as number);
  steps.forEach((value, i) => {
    for (const operand of value.inputs) {
      const at = position.get(operand);
      if (at !== undefined) lastUser[at] = Math.max(lastUser[at] as number, i);
    }
  });
  return steps.filter((value, i) => {
    const isCut = reach <= i && value.shape.length === 4;
    reach = Math.max(reach, lastUser[i] as number);
    return isCut;
  });
}

/** The program from `value` on, as a function of an input in its place. */
function programAfter(program: Program, value: Value): Program {
  const seam = input(SEAM, value.shape, value.dtype);
  return rewriteProgram(program, (current, _inputs, keep) => (current === value ? seam : keep()));
}

function findCuts(program: Program, x: Value, y: Value): Cut[] {
  const values = cutValues(x, y);
  return values.flatMap((value): Cut[] => {
    const head = value === x ? undefined : localPath(x, value);
    const tail = value === y ? undefined : localPath(value, y);
    const cuts: Cut[] = [];
    if (head !== undefined) {
      const whole = value === y ? undefined : programAfter(program, value);
      cuts.push({ tiled: "first", value, source: x, path: head, whole });
    }
    if (tail !== undefined && value !== x) {
      const whole = createProgram(program.name, { [SEAM]: value });
      cuts.push({ tiled: "last", value, source: value, path: tail, whole });
    }
    return cuts;
  });
}

/** `size` positions in equal parts of at most `side`, each starting at a multiple of `step`. */
function parts(size: number, side: number, step: number): { start: number; stop: number }[] {
  const count = Math.ceil(size / side);
  const length = Math.ceil(size / count / step) * step;
  return Array.from({ length: Math.ceil(size / length) }, (_, i) => ({
    start: i * length,
    stop: Math.min(size, (i + 1) * length),
  }));
}

function tileRegions(target: Value, pixels: number, side: number, compression: number): Region[] {
  const [height, width] = pictureSize(target);
  // `side` is in pixels of the picture; the target may be at a lower resolution.
  const scale = pixels / height;
  const own = Math.max(1, Math.floor(side / scale));
  const step = Math.max(1, Math.floor(Math.min(compression, side) / scale));
  return parts(height, own, step).flatMap((rows) => parts(width, own, step).map((columns): Region => [rows, columns]));
}

interface Usage {
  readonly bytes: number;
  readonly macs: number;
}

/** @param held bytes of tensors on the host during the run */
function usage(program: Program, held: number, { prepare = (same) => same }: PlanOptions): Usage {
  const { constants, activations } = programMemory(prepare(program));
  return { bytes: BASE_BYTES + constants + ACTIVATION_FACTOR * activations + held, macs: countMacs(program) };
}

const bytesOf = (value: Value) => 4 * (value.shape as readonly number[]).reduce((a, b) => a * b, 1);

/** A cut with tiles of a size, or undefined where it doesn't fit. */
function tryCut(cut: Cut, ends: number, side: number, pixels: number, f: number, options: PlanOptions) {
  const target = cut.path.at(-1) as Value;
  const regions = tileRegions(target, pixels, side, f);
  if (regions.length < 2) return undefined;
  // A tile in the middle has the widest halo.
  const [firstRows, lastRows] = [regions[0]?.[0], regions.at(-1)?.[0]];
  const middle = regions[Math.floor(regions.length / 2)] as Region;
  const rowCount = new Set(regions.map(([rows]) => rows.start)).size;
  const columnCount = regions.length / rowCount;
  const inner = regions[Math.floor(rowCount / 2) * columnCount + Math.floor(columnCount / 2)] ?? middle;
  if (firstRows === undefined || lastRows === undefined) return undefined;
  const tile = buildTile(cut.source, cut.path, inner, SEAM);
  const program = createProgram("tile", { tile: tile.value });
  const held = ends + bytesOf(cut.value) + bytesOf(tile.value);
  const one = usage(program, held, options);
  const rest = cut.whole && usage(cut.whole, ends + bytesOf(cut.value), options);
  const bytes = Math.max(one.bytes, rest?.bytes ?? 0);
  return { regions, bytes, macs: one.macs * regions.length + (rest?.macs ?? 0) };
}

interface Ends {
  readonly x: Value;
  readonly y: Value;
  readonly plain: ExactPlan;
  readonly macs: number;
  /** Larger side of the picture in pixels. */
  readonly pixels: number;
}

function programEnds(program: Program, options: PlanOptions): Ends {
  const [x] = program.inputs.values();
  const [y] = program.outputs.values();
  if (x === undefined || y === undefined || program.inputs.size + program.outputs.size !== 2) {
    throw new ConfigError(`exact tiling: "${program.name}" must have one input and one output`);
  }
  const { bytes, macs } = usage(program, bytesOf(x as Value) + bytesOf(y), options);
  const plain = {
    tiled: "whole",
    whole: program,
    source: undefined,
    path: [],
    regions: [],
    bytes,
    overhead: 1,
  } as const;
  return { x: x as Value, y, plain, macs, pixels: Math.max(pictureSize(x as Value)[0], pictureSize(y)[0]) };
}

/** Every way to run `program` in two parts, one of them in tiles. */
export function exactPlans(program: Program, compression: number, options: PlanOptions): ExactPlan[] {
  const { x, y, macs, pixels } = programEnds(program, options);
  const ends = bytesOf(x) + bytesOf(y);
  return findCuts(program, x, y).flatMap((cut) =>
    TILE_SIDES.flatMap((side): ExactPlan[] => {
      const found = tryCut(cut, ends, side, pixels, compression, options);
      if (found === undefined) return [];
      const { tiled, source, path, whole } = cut;
      return [{ tiled, whole, source, path, ...found, overhead: found.macs / macs }];
    }),
  );
}

/**
 * Plans one picture.
 *
 * @param program one input and one output, both [1, C, h, w] of static shape; batches are run picture by picture
 * @param compression pixels per latent position, which tile borders keep to
 * @throws ConfigError when nothing fits, with the memory that would do
 */
export function planExactTiling(program: Program, compression: number, options: PlanOptions): ExactPlan {
  const { x, y, plain, pixels } = programEnds(program, options);
  if (plain.bytes <= options.maxMemory) return plain;
  const plans = exactPlans(program, compression, options);
  const fitting = plans.filter(({ bytes }) => bytes <= options.maxMemory);
  const [first, ...others] = fitting;
  if (first !== undefined) return others.reduce((a, b) => (b.overhead < a.overhead ? b : a), first);
  const smallest = plans.reduce((least, { bytes }) => Math.min(least, bytes), plain.bytes);
  const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`;
  const [height, width] = pictureSize(pictureSize(y)[0] === pixels ? y : x);
  throw new ConfigError(
    `maxMemory: ${program.name} of ${width}x${height} pixels needs at least ${megabytes(smallest)}, ` +
      `the limit is ${megabytes(options.maxMemory)}`,
    { hint: "Raise maxMemory, make the picture smaller, or use blended tiling, which changes the result." },
  );
}
