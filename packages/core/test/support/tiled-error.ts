/** A plan's result against the whole program's. */
import { relativeError } from "@dcae/test-support/compare";
import { runExact } from "../../src/autoencoders/exact-tiling.js";
import type { ExactPlan } from "../../src/autoencoders/exact-tiling-plan.js";
import { createRandom, type Program, Tensor } from "../../src/graph/index.js";
import type { Engine } from "../../src/runtime/index.js";
import { randomWeights } from "./random-weights.js";

function randomInput(program: Program): Tensor {
  const [value] = program.inputs.values();
  const shape = value?.shape as number[];
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  createRandom(3, "x").normal(data);
  return Tensor.float32(data, shape);
}

/** The largest error of each plan, relative to the largest value, with random weights and a random picture. */
export async function tiledErrors(engine: Engine, program: Program, plans: readonly ExactPlan[]): Promise<number[]> {
  const weights = randomWeights(program, 17);
  const x = randomInput(program);
  async function runOnce(part: Program, inputs: Record<string, Tensor>): Promise<Record<string, Tensor>> {
    const loaded = await engine.load(part, weights);
    const outputs = await loaded.run(inputs);
    await loaded.dispose();
    return outputs;
  }
  const [name] = program.inputs.keys();
  const [expected] = Object.values(await runOnce(program, { [name as string]: x }));
  const errors: number[] = [];
  for (const plan of plans) {
    // As a program cache does: whatever is loaded under a key serves every tile that has it.
    const programs = new Map<string, Program>();
    const actual = await runExact(
      plan,
      x,
      (key, build, inputs) => {
        const known = programs.get(key) ?? build();
        programs.set(key, known);
        return runOnce(known, inputs as Record<string, Tensor>);
      },
      "test",
    );
    errors.push(relativeError(actual, expected as Tensor));
  }
  return errors;
}
