/** What gradients() must not build: work behind frozen parameters, and through constants. */

import { conv } from "@dcae/core/blocks";
import {
  createScope,
  input,
  mul,
  reduceMean,
  reduceSum,
  scalar,
  square,
  sub,
  topologicalOrder,
  type Value,
} from "@dcae/core/graph";
import { createEngine } from "@dcae/core/runtime";
import { runValues } from "@dcae/test-support/run-graph";
import { expect, test } from "vitest";
import { backpropagate, gradients } from "../../src/autodiff/gradients.js";

function threeLayers(): { loss: Value; weights: Value[]; forward: Set<Value> } {
  const scope = createScope();
  const x = input("x", [1, 3, 8, 8]);
  const y = [0, 1, 2].reduce<Value>((value, i) => conv(scope.at(i), value, { outChannels: 3 }), x);
  const loss = reduceMean(square(y));
  return {
    loss,
    weights: [0, 1, 2].map((i) => scope.at(i).parameter("weight", [3, 3, 3, 3])),
    forward: new Set(topologicalOrder([loss])),
  };
}

/** Convolutions, and matrix products (weight gradients), that the gradients add to the forward pass. */
function backwardWork(pick: (weights: Value[]) => Value[]): { convolutions: number; products: number } {
  const { loss, weights, forward } = threeLayers();
  const added = topologicalOrder(gradients(loss, pick(weights))).filter((value) => !forward.has(value));
  const count = (...ops: string[]) => added.filter(({ op }) => ops.includes(op)).length;
  return { convolutions: count("conv2d", "convTranspose2d"), products: count("matmul") };
}

test("the last layer alone needs no gradient of any activation", () => {
  expect(backwardWork((w) => [w[2]!])).toEqual({ convolutions: 0, products: 9 });
});

test("each layer in front adds one gradient of an activation and one of a weight", () => {
  expect(backwardWork((w) => [w[1]!, w[2]!])).toEqual({ convolutions: 1, products: 18 });
  expect(backwardWork((w) => w)).toEqual({ convolutions: 2, products: 27 });
});

test("a frozen layer behind the trained one is passed, and its weight gets nothing", () => {
  expect(backwardWork((w) => [w[0]!])).toEqual({ convolutions: 2, products: 9 });
});

test("a loss that doesn't depend on a value has gradient zero", async () => {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const [x, z] = [input("x", [2]), input("z", [3])];
  const [gz] = gradients(reduceSum(x), [z]);
  expect((await runValues(engine, { gz: gz! })).gz!.toNested()).toEqual([0, 0, 0]);
  await engine.dispose();
});

test("constants stop the gradient, seeds start it", async () => {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const x = input("x", []);
  const weight = square(x);
  const [stopped] = gradients(mul(weight, x), [x], { constants: [weight] });
  const [whole] = gradients(mul(weight, x), [x]);
  const [seeded] = backpropagate([{ value: sub(x, 1), gradient: scalar(5) }], [x]);
  const { Tensor } = await import("@dcae/core/graph");
  const values = await runValues(
    engine,
    { stopped: stopped!, whole: whole!, seeded: seeded! },
    { x: Tensor.full([], 3) },
  );
  expect([values.stopped!.at(), values.whole!.at(), values.seeded!.at()]).toEqual([9, 27, 5]);
  await engine.dispose();
});

test("a loss must be a scalar", () => {
  const x = input("x", [2]);
  expect(() => gradients(x, [x])).toThrow(/must be a float scalar, got \[2\]/);
});
