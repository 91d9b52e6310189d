/**
 * Runs of a model under a limit of memory: plans for each shape, and pictures of any size in bounded memory, with the result of the
 * whole picture. The programs that a plan consists of are loaded one at a time.
 */
import type { Weights } from "../checkpoint/weights.js";
import { ConfigError } from "../errors.js";
import { createProgram, type Program } from "../graph/program.js";
import { sizeOf, Tensor } from "../graph/tensor.js";
import type { Region } from "../graph/tiling/pixel-layout.js";
import type { Tile } from "../graph/tiling/tile-program.js";
import type { Value } from "../graph/value.js";
import type { Communicator } from "../parallel/communicator.js";
import { shareInRounds } from "../parallel/share-in-rounds.js";
import { requireSame, together } from "../parallel/work-together.js";
import type { Engine, NamedTensors } from "../runtime/engine.js";
import { createProgramCache } from "../runtime/loaded-cache.js";
import { PICTURE, passTile, pictureRegion, SEAM, seamBuffers } from "./exact-tiling-passes.js";
import { type ExactPlan, type PlannedPass, type PlanOptions, planExactTiling, planWhole } from "./exact-tiling-plan.js";

export interface BoundedRuns {
  /**
   * How one picture of a batch is run so that the process stays within its limit.
   *
   * @param shape [N, C, H, W] of the batch
   * @param ranks that share the tiles (default 1)
   * @throws ConfigError when it can't, with the memory that would do
   */
  plan(shape: readonly number[], part: ModelPart, limit: MemoryLimit, ranks?: number): BoundedPlan;
  /**
   * Runs a batch picture by picture, in tiles where one doesn't fit.
   *
   * @param ranks that share the tiles, and call this with the same batch; each gets the result
   */
  run(x: Tensor, part: ModelPart, limit: MemoryLimit, signal?: AbortSignal, ranks?: Communicator): Promise<Tensor>;
  dispose(): Promise<void>;
}

/** A plan, and what loads its programs: the lean engine, or the one that decides as without a limit. */
interface PlanBy {
  readonly exact: ExactPlan;
  readonly engine: Engine;
}

export interface BoundedPlan extends ExactPlan {
  /** Tells its programs from those of other plans. */
  readonly label: string;
  /** Loads its programs. */
  readonly engine: Engine;
}

interface PlanOptionsBy extends PlanOptions {
  readonly engine: Engine;
}

export interface MemoryLimit {
  /** Bytes that the process may take at its peak. */
  readonly maxMemory: number;
  /** Bytes of these that the caller takes for something else, default 0. */
  readonly reserved?: number | undefined;
}

export interface ModelPart {
  /** Tells programs of one shape apart. */
  readonly label: string;
  /** Name of the program's input. */
  readonly input: string;
  build(shape: readonly number[]): Program;
}

/** What the form that an engine chooses without a limit takes at most of the time of the lean one. */
const UNBOUND_SHARE = 0.5;
/** Planning takes a second for large pictures; shapes usually repeat. */
const MAX_PLANS = 16;

export function createBoundedRuns(of: Engine, weights: Weights): BoundedRuns {
  const lean = of.lean ?? of;
  const engines = new WeakMap<Program, Engine>();
  const engine: Pick<Engine, "load"> = {
    load: (program, from) => (engines.get(program) ?? lean).load(program, from),
  };
  // One program at a time: a second may not fit beside the first.
  const programs = createProgramCache(engine, "the model", 1);
  const plans = new Map<string, BoundedPlan>();

  /** A plan depends on all of this, and so do the programs that it consists of. */
  const keyOf = (
    shape: readonly number[],
    { label }: ModelPart,
    { maxMemory, reserved = 0 }: MemoryLimit,
    ranks: number,
    isLean: boolean,
  ) => `${label} ${shape.join("x")} ${maxMemory} ${reserved} ${ranks}${isLean ? " lean" : ""}`;

  function plan(shape: readonly number[], part: ModelPart, limit: MemoryLimit, ranks = 1, isLean = false): BoundedPlan {
    const { maxMemory, reserved = 0 } = limit;
    const { build } = part;
    const [count, ...size] = shape as [number, ...number[]];
    const label = keyOf(shape, part, limit, ranks, isLean);
    const known = plans.get(label);
    if (known !== undefined) return known;
    const within = (by: Engine) => ({
      ...{ engine: by, maxMemory, batch: count, reserved, ranks },
      predictMemory(program: Program): number {
        if (by.predictMemory !== undefined) return by.predictMemory(program);
        throw new ConfigError(`maxMemory: ${by.name} doesn't say how much memory a program takes`);
      },
    });
    const program = build([1, ...size]);
    const { exact, engine: by } = isLean
      ? planLean(program, within(lean))
      : fastestPlan(program, within(of.forPartsOf?.(program) ?? of), within(lean));
    const made = { ...exact, engine: by, label };
    if (plans.size >= MAX_PLANS) plans.clear();
    plans.set(label, made);
    return made;
  }

  /** The plan that all ranks follow. Their machines may differ in what is free and what is fast, but not in what the lean engine does. */
  async function planTogether(
    shape: readonly number[],
    part: ModelPart,
    limit: MemoryLimit,
    ranks: Communicator | undefined,
  ): Promise<BoundedPlan> {
    const planned = async (isLean: boolean) => plan(shape, part, limit, ranks?.size, isLean);
    const own = await together(ranks, "planning", () => planned(false));
    const outlines = (await ranks?.gather("comparing plans", outlineOfPlan(own))) ?? [];
    const isCommon = outlines.every((outline) => outline === outlines[0]);
    return isCommon ? own : together(ranks, "planning for all", () => planned(true));
  }

  return {
    plan,
    async run(x, part, limit, signal, ranks) {
      await requireSame(ranks, { picture: outlineOf(x) });
      const made = await planTogether(x.shape, part, limit, ranks);
      const runProgram: RunProgram = (key, build, inputs) => {
        const builtFor = () => {
          const program = build();
          engines.set(program, made.engine);
          return program;
        };
        return programs.run(key, builtFor, weights, inputs, signal);
      };
      const [count] = x.shape as [number, ...number[]];
      const runOne = (i: number) => runExact(made, x.slice([{ start: i, stop: i + 1 }]), runProgram, made.label, ranks);
      if (count === 1) return runOne(0);
      let joined: Tensor<"float32"> | undefined;
      for (let i = 0; i < count; i++) {
        const result = await runOne(i);
        joined ??= Tensor.zeros([count, ...result.shape.slice(1)]);
        joined.data.set(result.toFloat32(), i * sizeOf(result.shape));
      }
      return joined as Tensor;
    },
    dispose: programs.dispose,
  };
}

/**
 * Whole where the form that is chosen without a limit fits, tiles in the lean form otherwise: there, one program is loaded for each kind of
 * tile, and the other form takes long to load. Ranks take tiles even of what fits whole, in whichever form leaves the busiest less to wait for.
 *
 * @throws ConfigError when nothing fits, with the memory that would do
 */
function fastestPlan(program: Program, unbound: PlanOptionsBy, lean: PlanOptionsBy): PlanBy {
  const { ranks = 1, engine } = unbound;
  const whole = planWhole(program, unbound);
  if (whole === undefined) {
    // Where that form has no room for the whole, it has little for tiles.
    return planLean(program, lean);
  }
  if (ranks === 1) return { exact: whole, engine };
  const fast = planExactTiling(program, unbound);
  const share = fast.share * UNBOUND_SHARE;
  // No tiles leave a rank less than its part: the lean ones needn't be planned.
  if (share <= 1 / ranks) return { exact: fast, engine };
  const tiled = planLean(program, lean);
  return share <= tiled.exact.share ? { exact: fast, engine } : tiled;
}

/** @throws ConfigError when nothing fits, with the memory that would do */
function planLean(program: Program, lean: PlanOptionsBy): PlanBy {
  return { exact: planExactTiling(program, lean), engine: lean.engine };
}

/** What a plan divides, for comparing. */
const outlineOfPlan = ({ tiled, overhead, passes }: ExactPlan): string =>
  JSON.stringify([tiled, overhead, passes.map(({ regions }) => regions)]);

/** Shape and content of a batch in a few words, for comparing. */
function outlineOf(x: Tensor): string {
  let [sum, weighted] = [0, 0];
  const data = x.toFloat32();
  for (let i = 0; i < data.length; i++) {
    sum += data[i] as number;
    weighted += (data[i] as number) * (i % 1009);
  }
  return `${x.shape.join("x")} ${sum} ${weighted}`;
}

/** Loads (or finds loaded) the program known as `key` and runs it. */
type RunProgram = (key: string, build: () => Program, inputs: NamedTensors) => Promise<Record<string, Tensor>>;

type Picture = Tensor<"float32">;
const shapeOf = (value: Value) => value.shape as readonly number[];
const only = (tensors: Record<string, Tensor>): Picture => (Object.values(tensors)[0] as Tensor).cast("float32");

/** Calls `copy` for each row of pixels of a region: its start in the picture, its start in the tile, and its length. */
function eachRow(
  [, channels, height, width]: readonly [number, number, number, number],
  [rows, columns]: Region,
  copy: (inPicture: number, inTile: number, length: number) => void,
): void {
  const [tileHeight, tileWidth] = [rows.stop - rows.start, columns.stop - columns.start];
  for (let channel = 0; channel < channels; channel++) {
    for (let row = 0; row < tileHeight; row++) {
      const inPicture = (channel * height + rows.start + row) * width + columns.start;
      copy(inPicture, (channel * tileHeight + row) * tileWidth, tileWidth);
    }
  }
}

type Shape4 = readonly [number, number, number, number];

/** A region of a picture as a tensor of its own: a view would cross to the engine's thread with all of the picture. */
function cutOut(picture: Picture, region: Region): Picture {
  const shape = picture.shape as unknown as Shape4;
  const [height, width] = region.map(({ start, stop }) => stop - start) as [number, number];
  const { data } = picture;
  const tile = new Float32Array(shape[1] * height * width);
  eachRow(shape, region, (from, to, length) => tile.set(data.subarray(from, from + length), to));
  return Tensor.float32(tile, [1, shape[1], height, width]) as Picture;
}

function place(picture: Picture, tile: Tensor, region: Region): void {
  const data = tile.toFloat32();
  const target = picture.data;
  eachRow(picture.shape as unknown as Shape4, region, (to, from, length) =>
    target.set(data.subarray(from, from + length), to),
  );
}

/** Sums of tiles' shares, in float64: there may be thousands. */
class SumOfTiles {
  readonly #total: Float64Array;
  readonly #shape: readonly number[];

  constructor(value: Value) {
    this.#shape = shapeOf(value);
    this.#total = new Float64Array(sizeOf(this.#shape));
  }

  add(share: Tensor): void {
    const data = share.toFloat32();
    for (let i = 0; i < data.length; i++) this.#total[i] = (this.#total[i] as number) + (data[i] as number);
  }

  /** Adds those of the other ranks. */
  async join(ranks: Communicator): Promise<void> {
    await ranks.sum(this.#total);
  }

  get tensor(): Tensor {
    return Tensor.float32(Float32Array.from(this.#total), this.#shape);
  }
}

interface TileJob {
  readonly tile: Tile;
  readonly region: Region;
}

/** Tiles with the same graph one after the other, so that each program is loaded once. */
function groupTiles(pass: PlannedPass): TileJob[][] {
  const groups = new Map<string, TileJob[]>();
  for (const region of pass.regions) {
    const tile = passTile(pass, region);
    const group = groups.get(tile.key);
    if (group === undefined) groups.set(tile.key, [{ tile, region }]);
    else group.push({ tile, region });
  }
  return [...groups.values()];
}

/** Which rank makes which tile: as much for each, and tiles with one graph by as few as can be. */
function divideTiles(jobs: readonly TileJob[], ranks: number): number[] {
  const costs = jobs.map(({ tile: { sourceRegion } }) =>
    sourceRegion.reduce((size, { start, stop }) => size * (stop - start), 1),
  );
  const all = costs.reduce((sum, cost) => sum + cost, 0);
  let done = 0;
  return costs.map((cost) => {
    done += cost;
    return Math.floor((ranks * (done - cost / 2)) / all);
  });
}

/** Every rank gets the tiles that the others made. */
function shareTiles(
  picture: Picture,
  regions: readonly Region[],
  makers: readonly number[],
  ranks: Communicator,
): Promise<void> {
  const shapeOfTile = (region: Region) => [
    1,
    picture.shape[1] as number,
    ...region.map(({ start, stop }) => stop - start),
  ];
  return shareInRounds(ranks, {
    items: regions,
    ownerOf: (_region, i) => makers[i] as number,
    sizeOf: (region) => sizeOf(shapeOfTile(region)),
    read: (region) => cutOut(picture, region).data,
    write: (region, data) => place(picture, Tensor.float32(data, shapeOfTile(region)), region),
  });
}

/**
 * One pass: `sums` are those known so far, and get those that it makes. Ranks divide its tiles, and hand what they made to the
 * others: the next pass needs the borders of all.
 */
async function runPass(
  pass: PlannedPass,
  source: Picture,
  result: Picture | undefined,
  sums: Map<string, Tensor>,
  run: (key: string, build: () => Program, inputs: NamedTensors) => Promise<Record<string, Tensor>>,
  ranks: Communicator | undefined,
): Promise<void> {
  const rank = ranks?.rank ?? 0;
  const totals = new Map([...pass.sums].map(([name, value]) => [name, new SumOfTiles(value)]));
  const groups = groupTiles(pass);
  const makers = divideTiles(groups.flat(), ranks?.size ?? 1);
  let index = 0;
  let number = 0;
  for (const group of groups) {
    const program = createProgram("tile", (group[0] as TileJob).tile.outputs);
    const known = [...sums].filter(([name]) => program.inputs.has(name));
    const key = `tile ${index++}`;
    for (const { tile, region } of group) {
      if (makers[number++] !== rank) continue;
      const inputs = { [SEAM]: cutOut(source, tile.sourceRegion), ...Object.fromEntries(known) };
      const outputs = await run(key, () => program, inputs);
      if (result !== undefined) place(result, outputs[PICTURE] as Tensor, pictureRegion(pass, region));
      for (const [name, total] of totals) total.add(outputs[name] as Tensor);
    }
  }
  if (ranks !== undefined) {
    if (result !== undefined) {
      const regions = groups.flat().map(({ region }) => pictureRegion(pass, region));
      await shareTiles(result, regions, makers, ranks);
    }
    for (const total of totals.values()) await total.join(ranks);
  }
  for (const [name, total] of totals) sums.set(name, total.tensor);
}

/** All passes, from `x` to what the last one makes. */
async function runPasses(
  passes: readonly PlannedPass[],
  x: Picture,
  run: RunProgram,
  ranks: Communicator | undefined,
): Promise<Picture> {
  const buffers = seamBuffers(passes).map((size) => new Float32Array(size));
  const sums = new Map<string, Tensor>();
  let source = x;
  let made = 0;
  for (const [i, pass] of passes.entries()) {
    const { picture } = pass;
    let result: Picture | undefined;
    if (picture !== undefined) {
      const size = sizeOf(shapeOf(picture));
      const buffer = i === passes.length - 1 ? new Float32Array(size) : buffers[made++ % 2];
      result = Tensor.float32((buffer as Float32Array).subarray(0, size), shapeOf(picture)) as Picture;
    }
    await runPass(pass, source, result, sums, (key, build, inputs) => run(`pass ${i} ${key}`, build, inputs), ranks);
    source = result ?? source;
  }
  return source;
}

/**
 * Runs one picture.
 *
 * @param x the program's input, [1, C, H, W]
 * @param label identifies the program (model part and shape) among those that `run` keeps
 * @param ranks that share the tiles; what runs whole, each runs for itself
 */
export async function runExact(
  plan: ExactPlan,
  x: Tensor,
  run: RunProgram,
  label: string,
  ranks?: Communicator,
): Promise<Tensor> {
  const labeled: RunProgram = (key, build, inputs) => run(`${label} ${key}`, build, inputs);
  const whole = (input: Tensor) => {
    const program = plan.whole as Program;
    const [name] = program.inputs.keys();
    return labeled("whole", () => program, { [name as string]: input }).then(only);
  };
  if (plan.tiled === "whole") return whole(x);
  const picture = x.cast("float32");
  if (plan.tiled === "last") {
    return runPasses(plan.passes, plan.whole === undefined ? picture : await whole(picture), labeled, ranks);
  }
  const seam = await runPasses(plan.passes, picture, labeled, ranks);
  return plan.whole === undefined ? seam : whole(seam);
}
