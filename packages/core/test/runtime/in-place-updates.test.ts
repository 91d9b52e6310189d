/** Which updates may be written over the old value: those behind everything that reads it. */
import { useEngine } from "@dcae/test-support/engine";
import { memoryWeights, NO_WEIGHTS } from "@dcae/test-support/weights";
import { describe, expect, test } from "vitest";
import {
  add,
  createProgram,
  createRandom,
  expand,
  input,
  matmul,
  mul,
  parameter,
  reduceMax,
  reduceSum,
  reshape,
  scalar,
  sub,
  Tensor,
  tanh,
  transpose,
  type Value,
  ZEROS,
} from "../../src/graph/index.js";
import { inPlaceUpdates } from "../../src/runtime/in-place-updates.js";

const SIDE = 16;
const held = (name: string, shape: readonly number[] = [SIDE, SIDE]) =>
  parameter({ name, shape, dtype: "float32", init: ZEROS, trainable: true });
const x = input("x", [SIDE, SIDE]);

interface Case {
  readonly outputs?: Record<string, Value>;
  readonly updates: Record<string, Value>;
  readonly safe: readonly string[];
}

const CASES: Record<string, () => Case> = {
  "each element from its own": () => ({ updates: { w: sub(held("w"), mul(x, 0.1)) }, safe: ["w"] }),
  "under another shape, as of 1x1 convolutions": () => {
    const w = held("w");
    return { updates: { w: reshape(mul(reshape(w, [SIDE * SIDE]), 2), w.shape) }, safe: ["w"] };
  },
  "behind a product that reads it": () => {
    const w = held("w");
    return { updates: { w: sub(w, matmul(transpose(x), matmul(x, w))) }, safe: ["w"] };
  },
  "by a product that reads it": () => ({ updates: { w: matmul(x, held("w")) }, safe: [] }),
  "beside a product that reads it": () => {
    const w = held("w");
    return { outputs: { y: matmul(x, w) }, updates: { w: sub(w, mul(x, 0.1)) }, safe: [] };
  },
  "beside a product that reads its transpose, which something else of the update reads too": () => {
    const w = held("w");
    const turned = transpose(w);
    const y = matmul(x, turned);
    return { outputs: { y }, updates: { w: sub(w, matmul(turned, x)) }, safe: [] };
  },
  "minus its transpose": () => {
    const w = held("w");
    return { updates: { w: sub(w, transpose(w)) }, safe: [] };
  },
  "from what was made of it before": () => {
    const w = held("w", [1, SIDE]);
    const v = held("v");
    const sum = add(v, w);
    return { updates: { v: sum, w: reduceMax(sum, 0, { keepDims: true }) }, safe: ["v", "w"] };
  },
  "that exchange their values": () => ({ updates: { v: held("w"), w: held("v") }, safe: [] }),
  "that is a metric as well": () => {
    const w = held("w");
    return { outputs: { before: w }, updates: { w: mul(w, 2) }, safe: [] };
  },
  "that clears what something reads": () => {
    const w = held("w");
    return { outputs: { y: tanh(w) }, updates: { w: expand(scalar(0), [SIDE, SIDE]) }, safe: [] };
  },
  "two that need each other's old values": () => {
    const [v, w] = [held("v"), held("w")];
    return { updates: { v: add(v, w), w: sub(w, v) }, safe: [] };
  },
};

describe("updates in place", () => {
  const engine = useEngine();

  test.each(Object.entries(CASES))("%s", async (_, make) => {
    const { outputs = {}, updates, safe } = make();
    const program = createProgram("step", { ...outputs, sum: reduceSum(x) }, updates);
    expect([...inPlaceUpdates(program)].sort()).toEqual(safe);

    // In the engine, two runs give what the same program gives as outputs.
    const numbers = (name: string, shape: readonly number[]) =>
      Tensor.float32(createRandom(1, name).normal(new Float32Array(shape.reduce((a, b) => a * b, 1))), shape);
    const start = [...program.parameters.values()].map(({ name, shape }): [string, Tensor] => [
      name,
      numbers(name, shape),
    ]);
    const given = { x: numbers("x", [SIDE, SIDE]) };
    const state = await engine.createState(memoryWeights(start));
    const step = await engine.load(program, NO_WEIGHTS, { state });
    let expected = new Map(start);
    for (let run = 0; run < 2; run++) {
      const plain = await engine.load(
        createProgram("plain", {
          ...outputs,
          ...Object.fromEntries(Object.entries(updates).map(([name, value]) => [`new.${name}`, value])),
          sum: reduceSum(x),
        }),
        memoryWeights(expected),
      );
      const wanted = await plain.run(given);
      const got = await step.run(given);
      for (const name of Object.keys(outputs)) expect(got[name]?.data).toEqual(wanted[name]?.data);
      expected = new Map([...expected].map(([name, old]) => [name, wanted[`new.${name}`] ?? old]));
      for (const [name, tensor] of expected) expect((await state.read(name)).data).toEqual(tensor.data);
      await plain.dispose();
    }
    await step.dispose();
    await state.dispose();
  });
});
