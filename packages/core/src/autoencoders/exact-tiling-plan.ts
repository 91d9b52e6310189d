/**
 * How to run a program in bounded memory with the same result: what of it in tiles, and how large they may be.
 *
 * The plan keeps as much whole as fits the budget, and in each pass over the tiles
 * (exact-tiling-passes.ts) the largest ones that fit, since tiles compute their halos twice.
 */
import { ConfigError } from "../errors.js";
import { countMacs } from "../graph/analyze.js";
import { createProgram, type Program } from "../graph/program.js";
import type { Grid, Range, Region } from "../graph/tiling/pixel-layout.js";
import type { Value } from "../graph/value.js";
import { BASE_BYTES, MEMORY_MARGIN } from "../runtime/program-memory.js";
import {
  bytesOf,
  type Division,
  divisions,
  type Ends,
  heldBytes,
  passTile,
  programEnds,
  type TilePass,
} from "./exact-tiling-passes.js";

/** The caller's thread and the engine's, both of which hold tensors. */
const THREADS = 2;

/** Arrays of past tiles that pile up in each thread before its garbage collector runs (V8 lets 64 MB pass). */
const THREAD_GARBAGE_BYTES = 64e6;

/**
 * Blocks below 32 MB that the C library keeps when a program ends: the programs of tiles come and go, and their sizes differ.
 * Measured: 110 MB more than with a library that gives them back.
 */
const HEAP_WASTE_BYTES = 128e6;

/** Into how many parts the longer side is divided, at first try. */
const PART_COUNTS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];

/** What ranks compute in all, relative to the program, when no better plan is looked for: that takes a second for large pictures. */
const GOOD_ENOUGH = 1.2;

/** What smaller tiles, or squares instead of bands, must leave of a rank's work at most: they take more programs, which take time to load. */
const NOTICEABLE = 0.95;

/** Smaller tiles would consist of halos. */
const LEAST_TILE_PIXELS = 32;

export interface PlannedPass extends TilePass {
  /** The tiles, in cells. */
  readonly regions: readonly Region[];
}

export interface ExactPlan {
  /** "whole": no tiles are needed. Otherwise which part is tiled. */
  readonly tiled: "whole" | Division["tiled"];
  /** The part that runs whole; undefined where everything is tiled. */
  readonly whole: Program | undefined;
  readonly passes: readonly PlannedPass[];
  /** Predicted peak of the process in bytes. */
  readonly bytes: number;
  /** Multiply-accumulates of all parts and tiles relative to the whole program. */
  readonly overhead: number;
  /** Those of the rank that has most to do, in the same unit: what runs whole, each runs for itself. */
  readonly share: number;
}

export interface PlanOptions {
  /** Bytes that the process may take at its peak. */
  readonly maxMemory: number;
  /** Ranks that share the tiles of a picture. Default 1. */
  readonly ranks?: number;
  /** How many pictures the caller has given; they run one by one. Default 1. */
  readonly batch?: number;
  /** Bytes that the caller takes besides, default 0. */
  readonly reserved?: number;
  /** Bytes that the engine takes to load a program and run it once, without the tensors that cross to it. */
  readonly predictMemory: (program: Program) => number;
}

interface Cost {
  readonly bytes: number;
  readonly macs: number;
}

type PassCost = Cost & { readonly rows: readonly Range[]; readonly columns: readonly Range[] };

/** `size` positions in equal parts of at most `side`. */
function parts(size: number, side: number): Range[] {
  const length = Math.ceil(size / Math.ceil(size / Math.min(side, size)));
  return Array.from({ length: Math.ceil(size / length) }, (_, i) => ({
    start: i * length,
    stop: Math.min(size, (i + 1) * length),
  }));
}

/** Predicts costs; what was predicted is remembered, since many divisions share passes. */
function costModel(ends: Ends, { predictMemory, batch = 1, reserved = 0 }: PlanOptions) {
  // Of a batch, all pictures and all results are there, beside the copies of the one that runs.
  const others = batch === 1 ? 0 : (batch - 1) * bytesOf(ends.x) + batch * bytesOf(ends.y);
  const idle = BASE_BYTES + reserved + others;
  const tiles = new Map<string, PassCost>();
  const numbers = new Map<Value, number>();
  const numberOf = (value: Value | undefined) => {
    if (value === undefined) return -1;
    if (!numbers.has(value)) numbers.set(value, numbers.size);
    return numbers.get(value);
  };

  /** What crosses to the engine has a copy there, which belongs to the program; what comes back is copied at the end. */
  function whole(program: Program, input: number, output: number): Cost {
    return { bytes: idle + input + Math.max(predictMemory(program), THREADS * output), macs: countMacs(program) };
  }

  /** A tile in the middle, which has the widest halo, stands for all; without what the host holds. */
  function tile(pass: TilePass, [height, width]: Grid): PassCost {
    const rows = parts(ends.cells[0], height);
    const columns = parts(ends.cells[1], width);
    const count = rows.length * columns.length;
    const middle: Region = [rows[rows.length >> 1] as Range, columns[columns.length >> 1] as Range];
    const { outputs } = passTile(pass, middle);
    const program = createProgram("tile", outputs);
    const crossing = [...program.inputs.values(), ...program.outputs.values()].reduce(
      (sum, value) => sum + bytesOf(value as Value),
      0,
    );
    const garbage = Math.min(THREAD_GARBAGE_BYTES, crossing * count);
    const running = predictMemory(program);
    const waste = Math.min(HEAP_WASTE_BYTES, running);
    const bytes = idle + crossing + THREADS * garbage + running + waste;
    return { rows, columns, bytes, macs: countMacs(program) * count };
  }

  return {
    /** Multiply-accumulates of the whole program. */
    macs: countMacs(ends.program),
    whole,
    /** The part of a division that runs whole. */
    rest({ whole: program, seam }: Division): Cost {
      if (program === undefined) return { bytes: 0, macs: 0 };
      // Behind the tiles, the caller's picture and what the tiles left are still there.
      const waiting = ends.encodes ? bytesOf(ends.x) + HEAP_WASTE_BYTES + THREAD_GARBAGE_BYTES : 0;
      const cost = ends.encodes
        ? whole(program, bytesOf(seam), bytesOf(ends.y))
        : whole(program, bytesOf(ends.x), bytesOf(seam));
      return { ...cost, bytes: cost.bytes + waiting };
    },
    pass(pass: TilePass, size: Grid): PassCost {
      const targets = [pass.flow.source, pass.picture, ...pass.sums.values()];
      const [height, width] = size.map((side, i) => Math.min(side, ends.cells[i] as number)) as [number, number];
      const key = `${targets.map(numberOf).join()} ${height}x${width}`;
      const known = tiles.get(key) ?? tile(pass, [height, width]);
      tiles.set(key, known);
      return known;
    },
  };
}

type CostModel = ReturnType<typeof costModel>;

const square = (side: number): Grid => [side, side];

/**
 * Sizes of tiles to try, in cells, by their form, the largest first. Ranks take bands, too: two of them have one border between them where
 * four squares have two, and each rank loads one program where it would load two.
 */
function tileSizes({ x, y, cells, encodes }: Ends, ranks: number): Grid[][] {
  const [height, width] = cells;
  const pixels = ((encodes ? x : y).shape[2] as number) / height;
  const least = Math.ceil(LEAST_TILE_PIXELS / pixels);
  const sidesOf = (side: number) => {
    const sides = PART_COUNTS.map((count) => Math.ceil(side / count)).filter((part) => part >= Math.min(side, least));
    return [...new Set([...sides, Math.min(side, least)])];
  };
  const squares = sidesOf(Math.max(height, width)).map(square);
  return ranks === 1 ? [squares] : [sidesOf(height).map((rows): Grid => [rows, width]), squares];
}

/** What the busiest of so many ranks computes of a pass: tiles aren't divided. */
function shareOf({ macs, rows, columns }: PassCost, ranks: number): number {
  const count = rows.length * columns.length;
  return (macs * Math.ceil(count / ranks)) / count;
}

/**
 * The tiles of a pass that fit and leave the busiest rank least to do, or undefined: for one alone the largest, which compute fewest
 * borders twice. Each size is tried in turn: smaller tiles take less while they run, but the many arrays that they leave behind take more.
 */
function bestTiles(
  pass: TilePass,
  held: number,
  maxMemory: number,
  sizes: readonly Grid[][],
  model: CostModel,
  ranks: number,
): PassCost | undefined {
  let best: PassCost | undefined;
  for (const sizesOfForm of sizes) {
    for (const size of sizesOfForm) {
      const cost = model.pass(pass, size);
      if (cost.bytes + held > maxMemory) continue;
      if (best === undefined || shareOf(cost, ranks) < NOTICEABLE * shareOf(best, ranks)) best = cost;
      // Smaller ones of this form wouldn't be divided better, and compute more twice.
      if ((cost.rows.length * cost.columns.length) % ranks === 0) break;
    }
  }
  return best;
}

function join(division: Division, passes: readonly PassCost[], ends: Ends, model: CostModel, ranks: number): ExactPlan {
  const rest = model.rest(division);
  const held = heldBytes(division, ends);
  const { tiled, whole } = division;
  return {
    tiled,
    whole,
    passes: division.passes.map((pass, i) => {
      const { rows, columns } = passes[i] as PassCost;
      return { ...pass, regions: rows.flatMap((row) => columns.map((column): Region => [row, column])) };
    }),
    bytes: Math.max(rest.bytes, ...passes.map(({ bytes }, i) => bytes + (held[i] as number))),
    overhead: passes.reduce((sum, { macs }) => sum + macs, rest.macs) / model.macs,
    share: passes.reduce((sum, cost) => sum + shareOf(cost, ranks), rest.macs) / model.macs,
  };
}

/** Plans of every division, with tiles of each of `sides` cells. */
export function exactPlans(program: Program, sides: readonly number[], options: PlanOptions): ExactPlan[] {
  const ends = programEnds(program);
  const model = costModel(ends, options);
  return [...divisions(ends)].flatMap((division) =>
    sides.map((side) =>
      join(
        division,
        division.passes.map((pass) => model.pass(pass, square(side))),
        ends,
        model,
        options.ranks ?? 1,
      ),
    ),
  );
}

/** The plan that runs a picture whole, or undefined where it doesn't fit. @see planExactTiling */
export function planWhole(program: Program, options: PlanOptions): ExactPlan | undefined {
  const ends = programEnds(program);
  return wholePlan(program, ends, options, costModel(ends, options));
}

function wholePlan(
  program: Program,
  { x, y }: Ends,
  { maxMemory }: PlanOptions,
  model: CostModel,
): ExactPlan | undefined {
  const { bytes } = model.whole(program, bytesOf(x), bytesOf(y));
  if (bytes > maxMemory / MEMORY_MARGIN) return undefined;
  return { tiled: "whole", whole: program, passes: [], bytes, overhead: 1, share: 1 };
}

/**
 * Plans one picture. Of several ranks each computes for itself what runs whole, so that the plan is the one that leaves the busiest least to
 * do, and more is tiled than memory asks for.
 *
 * @param program one input and one output, both [1, C, h, w] of static shape; batches are run picture by picture
 * @throws ConfigError when nothing fits, with the memory that would do
 */
export function planExactTiling(program: Program, options: PlanOptions): ExactPlan {
  const { ranks = 1 } = options;
  const ends = programEnds(program);
  const model = costModel(ends, options);
  const sizes = tileSizes(ends, ranks);
  const maxMemory = options.maxMemory / MEMORY_MARGIN;
  let best = wholePlan(program, ends, options, model);
  if (best !== undefined && ranks === 1) return best;
  // Of one alone, the first that fits is taken. Of several, those that tile most leave least to do, and others needn't be looked at.
  const candidates = ranks === 1 ? divisions(ends) : [...divisions(ends)].reverse();
  for (const division of candidates) {
    const rest = model.rest(division);
    const leastShare = (rest.macs + (model.macs - rest.macs) / ranks) / model.macs;
    if (rest.bytes > maxMemory || (best !== undefined && leastShare >= best.share)) continue;
    const held = heldBytes(division, ends);
    const tiles = division.passes.map((pass, i) => bestTiles(pass, held[i] as number, maxMemory, sizes, model, ranks));
    const fitting = tiles.filter((cost) => cost !== undefined);
    if (fitting.length < tiles.length) continue;
    const plan = join(division, fitting, ends, model, ranks);
    if (ranks === 1) return plan;
    if (plan.share < (best?.share ?? Number.POSITIVE_INFINITY)) best = plan;
    if (plan.share * ranks <= GOOD_ENOUGH) break;
  }
  if (best !== undefined) return best;
  const megabytes = (count: number) => `${Math.ceil(count / 1e6)} MB`;
  const [height, width] = (ends.encodes ? ends.x : ends.y).shape.slice(2) as [number, number];
  throw new ConfigError(
    `maxMemory: ${program.name} of ${width}x${height} pixels needs at least ${megabytes(leastBytes(program, ends, sizes, model) * MEMORY_MARGIN)}, ` +
      `the limit is ${megabytes(options.maxMemory)}`,
    { hint: "Raise maxMemory, make the picture smaller, or use blended tiling, which changes the result." },
  );
}

/** The least that any plan takes. */
function leastBytes(program: Program, ends: Ends, sizes: readonly Grid[][], model: CostModel): number {
  let least = model.whole(program, bytesOf(ends.x), bytesOf(ends.y)).bytes;
  for (const division of divisions(ends)) {
    const held = heldBytes(division, ends);
    const smallest = division.passes.map(
      (pass, i) => Math.min(...sizes.flat().map((size) => model.pass(pass, size).bytes)) + (held[i] as number),
    );
    least = Math.min(least, Math.max(model.rest(division).bytes, ...smallest));
  }
  return least;
}
