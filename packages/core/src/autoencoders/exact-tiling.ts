/**
 * Pictures of any size in bounded memory, with the result of the whole picture: runs the plan of exact-tiling-plan.ts.
 */
import { createProgram, type Program } from "../graph/program.js";
import { buildTile, type Tile } from "../graph/rewrite/tile-program.js";
import type { Region } from "../graph/rewrite/tile-rules.js";
import { sizeOf, Tensor } from "../graph/tensor.js";
import type { Value } from "../graph/value.js";
import type { NamedTensors } from "../runtime/engine.js";
import { type ExactPlan, SEAM } from "./exact-tiling-plan.js";

/** Loads (or finds loaded) the program known as `key` and runs it. */
export type RunProgram = (key: string, build: () => Program, inputs: NamedTensors) => Promise<Record<string, Tensor>>;

const only = (tensors: Record<string, Tensor>): Tensor => Object.values(tensors)[0] as Tensor;

/** Writes `tile` [1, C, h, w] to `region` of `target`, row by row. */
function place(target: Tensor<"float32">, tile: Tensor, [rows, columns]: Region): void {
  const [, channels, height, width] = target.shape as readonly [number, number, number, number];
  const data = tile.toFloat32();
  const [tileHeight, tileWidth] = [rows.stop - rows.start, columns.stop - columns.start];
  for (let channel = 0; channel < channels; channel++) {
    for (let row = 0; row < tileHeight; row++) {
      const from = (channel * tileHeight + row) * tileWidth;
      const to = (channel * height + rows.start + row) * width + columns.start;
      target.data.set(data.subarray(from, from + tileWidth), to);
    }
  }
}

/** Tiles with the same graph one after the other, so that each program is loaded once. */
async function runTiles(plan: ExactPlan, x: Tensor, run: RunProgram, label: string): Promise<Tensor> {
  const target = plan.path.at(-1) as Value;
  const result = Tensor.zeros(target.shape as readonly number[]);
  const groups = new Map<string, { tile: Tile; region: Region }[]>();
  for (const region of plan.regions) {
    const tile = buildTile(plan.source as Value, plan.path, region, SEAM);
    const group = groups.get(tile.key);
    if (group === undefined) groups.set(tile.key, [{ tile, region }]);
    else group.push({ tile, region });
  }
  let index = 0;
  for (const group of groups.values()) {
    const key = `${label} tile ${index++}`;
    for (const { tile, region } of group) {
      const [rows, columns] = tile.sourceRegion;
      const source = x.slice([undefined, undefined, rows, columns]);
      const build = () => createProgram("tile", { tile: tile.value });
      // The tile's graph was built for every region, and those of a group are equal: any of them will do.
      place(result, only(await run(key, build, { [SEAM]: contiguous(source) })), region);
    }
  }
  return result;
}

/** A copy without strides, since a view of a large picture would cross to the engine's thread with all of it. */
function contiguous(tensor: Tensor): Tensor {
  const data = new Float32Array(sizeOf(tensor.shape));
  data.set(tensor.toFloat32());
  return Tensor.float32(data, tensor.shape);
}

/**
 * Runs one picture.
 *
 * @param x the program's input, [1, C, H, W]
 * @param label identifies the program (model part and shape) among those that `run` keeps
 */
export async function runExact(plan: ExactPlan, x: Tensor, run: RunProgram, label: string): Promise<Tensor> {
  const whole = (input: Tensor) => {
    const program = plan.whole as Program;
    const [name] = program.inputs.keys();
    return run(`${label} whole`, () => program, { [name as string]: input }).then(only);
  };
  if (plan.tiled === "whole") return whole(x);
  if (plan.tiled === "last") return runTiles(plan, plan.whole === undefined ? x : await whole(x), run, label);
  const seam = await runTiles(plan, x, run, label);
  return plan.whole === undefined ? seam : whole(seam);
}
