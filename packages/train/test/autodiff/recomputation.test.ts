/** Activation checkpointing: same gradients, fewer values held at once. */
import { resBlock } from "@dcae/core/blocks";
import {
  createProgram,
  createRandom,
  createScope,
  input,
  type Program,
  reduceMean,
  sizeOf,
  square,
  sub,
  Tensor,
  type Value,
} from "@dcae/core/graph";
import { createEngine } from "@dcae/core/runtime";
import { relativeError } from "@dcae/test-support/compare";
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import { expect, test } from "vitest";
import { programMemory } from "../../../core/src/runtime/program-memory.js";
import { gradients } from "../../src/autodiff/gradients.js";
import { chooseCheckpoints, cutPoints, recomputation } from "../../src/autodiff/recomputation.js";
import { completeWeights } from "../../src/step/training-state.js";

function stack(
  blocks: number,
  shape: readonly [number, number, number, number],
): { loss: Value; weights: Value[]; names: string[] } {
  const scope = createScope();
  const x = input("x", shape);
  let y: Value = x;
  for (let i = 0; i < blocks; i++) y = resBlock(scope.at(i), y, { norm: "trms2d", act: "silu" });
  const names = [...scope.parameters.keys()];
  const weights = names.map((name) => scope.parameter(name, scope.parameters.get(name)!.shape));
  return { loss: reduceMean(square(sub(y, x))), weights, names };
}

function gradientProgram(
  blocks: number,
  shape: readonly [number, number, number, number],
  checkpointed: boolean,
): Program {
  const { loss, weights, names } = stack(blocks, shape);
  const values = gradients(loss, weights, checkpointed ? { replay: recomputation(loss) } : {});
  return createProgram("g", { loss, ...Object.fromEntries(values.map((value, i) => [`gradient.${names[i]}`, value])) });
}

test("cuts are where a block's output carries everything on", () => {
  const { loss } = stack(5, [1, 4, 8, 8]);
  const cuts = cutPoints(loss).filter(({ op, shape }) => op === "add" && shape.length === 4 && shape[1] === 4);
  expect(cuts.length).toBeGreaterThanOrEqual(5);
  const chosen = chooseCheckpoints(stack(36, [1, 4, 8, 8]).loss);
  expect(chosen.length).toBeGreaterThanOrEqual(4);
  expect(chosen.length).toBeLessThanOrEqual(18);
});

test("gradients are the same numbers", async () => {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const shape = [2, 8, 12, 12] as const;
  const x = Tensor.float32(createRandom(1, 1).uniform(new Float32Array(sizeOf(shape)), -1, 1), shape);
  const programs = [false, true].map((checkpointed) => gradientProgram(9, shape, checkpointed));
  const results = [];
  for (const program of programs) {
    const loaded = await engine.load(program, completeWeights([program], NO_WEIGHTS, 3));
    results.push(await loaded.run({ x }));
  }
  const [plain, checkpointed] = results as [Record<string, Tensor>, Record<string, Tensor>];
  expect(Object.keys(plain).length).toBe(46);
  for (const [name, tensor] of Object.entries(plain)) {
    expect(relativeError(checkpointed[name]!, tensor), name).toBeLessThanOrEqual(1e-6);
  }
  await engine.dispose();
});

test("a checkpoint must belong to the forward pass", () => {
  const { loss } = stack(2, [1, 4, 8, 8]);
  expect(() => recomputation(loss, [cutPoints(stack(2, [1, 4, 8, 8]).loss)[3]!])).toThrow(/isn't part of the forward/);
});

test("less is held at once, in the order in which the runtime computes", () => {
  const shape = [4, 32, 64, 64] as const;
  const [plain, checkpointed] = [false, true].map(
    (recomputes) => programMemory(gradientProgram(24, shape, recomputes)).activations,
  ) as [number, number];
  expect(checkpointed).toBeLessThan(plain / 2);
});

test("every segment but the last is made again, the one before the first checkpoint too", () => {
  const { loss } = stack(6, [1, 4, 8, 8]);
  const cuts = cutPoints(loss);
  const checkpoint = cuts[Math.floor(cuts.length / 2)] as Value;
  const replay = recomputation(loss, [checkpoint]);
  const [first, last] = [cuts[0] as Value, cuts.at(-1) as Value];
  expect(replay(first, first, new Map())).not.toBe(first);
  expect(replay(last, last, new Map())).toBe(last);
});
