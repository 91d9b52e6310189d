/** Two updates of Lion by hand, on both engines. */
import { Tensor } from "@dcae/core/graph";
import type { Engine } from "@dcae/core/runtime";
import { expectClose } from "@dcae/test-support/compare";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { OptimizerOptions } from "../../src/step/training-step.js";
import { ENGINES } from "../support/engines.js";
import { updateAlong } from "../support/updates.js";

describe.each(Object.entries(ENGINES))("%s", (_, start) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await start();
  });
  afterAll(() => engine.dispose());

  // A vector, and a 1x1 convolution, whose elements are computed in one axis.
  const SHAPES = { "a.weight": [3], "b.weight": [3, 1, 1, 1] };
  const tensors = (values: readonly number[]) =>
    new Map(Object.entries(SHAPES).map(([name, shape]) => [name, Tensor.float32(values, shape)]));
  const lion = (more: object = {}) =>
    ({
      kind: "lion",
      name: "test",
      schedule: { kind: "constant", lr: 0.1 },
      weightDecay: 0.5,
      ...more,
    }) as OptimizerOptions;
  const update = (gradients: readonly (readonly number[])[], options = lion()) =>
    updateAlong(engine, tensors([1, -2, 3]), gradients.map(tensors), options);

  test("sign of the mixed moment, decay first, the moment after", async () => {
    const gradients = [
      [0.5, -1, 0],
      [-0.04, 2, -1],
    ];
    // c = 0.9 m + 0.1 g: (0.05, -0.1, 0), then (0.0005, 0.191, -0.1). p = 0.95 p - 0.1 sign c. m = 0.99 m + 0.01 g.
    const once = await update(gradients.slice(0, 1));
    const twice = await update(gradients);
    for (const name of Object.keys(SHAPES)) {
      const [first, second] = [once.state, twice.state].map((state) => ({
        p: state.get(name)!.toFloat32(),
        m: state.get(`lion.test.m.${name}`)!.toFloat32(),
      }));
      expectClose(Tensor.float32(first!.p), Tensor.float32([0.85, -1.8, 2.85]), 1e-6);
      expectClose(Tensor.float32(first!.m), Tensor.float32([0.005, -0.01, 0]), 1e-6);
      expectClose(Tensor.float32(second!.p), Tensor.float32([0.7075, -1.81, 2.8075]), 1e-6);
      expectClose(Tensor.float32(second!.m), Tensor.float32([0.00455, 0.0101, -0.01]), 1e-6);
    }
    // One moment for each weight, and nothing else.
    const kept = [...twice.state.keys()].filter((name) => name.startsWith("lion.")).sort();
    expect(kept).toEqual(["lion.test.m.a.weight", "lion.test.m.b.weight", "lion.test.step"]);
    expect(twice.state.get("lion.test.step")?.at()).toBe(2);
  });

  test("its betas are settings, and clipped gradients are what it gathers", async () => {
    const options = lion({ betas: [0.5, 0.75], weightDecay: 0, clipNorm: 1 });
    const { state, metrics } = await update([[3, 0, 4]], options);
    // Both tensors have that gradient: its norm is 5 sqrt 2.
    expect(metrics[0]!.gradient_norm).toBeCloseTo(5 * Math.SQRT2, 5);
    expectClose(state.get("a.weight")!, Tensor.float32([0.9, -2, 2.9]), 1e-6);
    const share = 0.25 / (5 * Math.SQRT2);
    expectClose(state.get("lion.test.m.a.weight")!, Tensor.float32([3 * share, 0, 4 * share]), 1e-6);
  });
});
