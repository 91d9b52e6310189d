/** A plan's result against the whole program's. */
import { relativeError } from "@dcae/test-support/compare";
import { onRanks } from "@dcae/test-support/ranks";
import { runExact } from "../../src/autoencoders/exact-tiling.js";
import type { ExactPlan } from "../../src/autoencoders/exact-tiling-plan.js";
import { createRandom, type Program, Tensor } from "../../src/graph/index.js";
import type { Engine, NamedTensors } from "../../src/runtime/index.js";
import { randomWeights } from "./random-weights.js";

function randomInput(program: Program): Tensor {
  const [value] = program.inputs.values();
  const shape = value?.shape as number[];
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  createRandom(3, "x").normal(data);
  return Tensor.float32(data, shape);
}

/**
 * The largest error of each plan, relative to the largest value, with random weights and a random picture.
 *
 * @param count ranks that share the tiles
 * @param exact the result for a picture, where it isn't the whole program's
 */
export async function tiledErrors(
  engine: Engine,
  program: Program,
  plans: readonly ExactPlan[],
  count = 1,
  exact?: (x: Tensor) => Tensor,
): Promise<number[]> {
  const weights = randomWeights(program, 17);
  const x = randomInput(program);
  async function runOnce(part: Program, inputs: Record<string, Tensor>): Promise<Record<string, Tensor>> {
    const loaded = await engine.load(part, weights);
    const outputs = await loaded.run(inputs);
    await loaded.dispose();
    return outputs;
  }
  const [name] = program.inputs.keys();
  const expected = exact?.(x) ?? Object.values(await runOnce(program, { [name as string]: x }))[0];
  const errors: number[] = [];
  for (const plan of plans) {
    const tiles: number[] = [];
    const results = await onRanks(count, (ranks) => {
      // As a program cache does: whatever is loaded under a key serves every tile that has it.
      const programs = new Map<string, Program>();
      tiles[ranks.rank] = 0;
      const run = (key: string, build: () => Program, inputs: NamedTensors) => {
        const known = programs.get(key) ?? build();
        programs.set(key, known);
        if (!key.endsWith("whole")) tiles[ranks.rank] = (tiles[ranks.rank] as number) + 1;
        return runOnce(known, inputs as Record<string, Tensor>);
      };
      return runExact(plan, x, run, "test", count === 1 ? undefined : ranks);
    });
    // No rank computes more than its turn of each pass.
    const [fewest, most] = [Math.min(...tiles), Math.max(...tiles)];
    if (most - fewest > plan.passes.length) throw new Error(`ranks computed ${tiles.join(" and ")} tiles`);
    for (const actual of results) errors.push(relativeError(actual, expected as Tensor));
  }
  return errors;
}
