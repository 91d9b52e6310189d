/** Updates of CAME on matrices, convolutions and vectors against the reference; what it refuses. */

import { input, Tensor } from "@dcae/core/graph";
import type { Engine } from "@dcae/core/runtime";
import { expectWithin, relativeError } from "@dcae/test-support/compare";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OptimizerOptions, optimizerStep } from "../../src/step/training-step.js";
import { ENGINES } from "../support/engines.js";
import { goldenNames, loadGolden } from "../support/golden.js";
import { updateAlong, weight } from "../support/updates.js";

describe.each(Object.entries(ENGINES))("%s", (_, start) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await start();
  });
  afterAll(() => engine.dispose());

  async function update(
    initial: ReadonlyMap<string, Tensor>,
    steps: readonly ReadonlyMap<string, Tensor>[],
    options: Omit<Extract<OptimizerOptions, { kind: "came" }>, "kind" | "name">,
  ) {
    const { metrics, state } = await updateAlong(engine, initial, steps, { ...options, kind: "came", name: "test" });
    return { norms: metrics.map(({ gradient_norm }) => gradient_norm), state };
  }

  test.each(goldenNames("came", "diffusion"))("%s", async (name) => {
    const { config, tolerance, tensor } = await loadGolden(name, "diffusion");
    const numbers = Array.from({ length: config.n_params }, (_, i) => i);
    const initial = new Map(numbers.map((i) => [`p${i}`, tensor(`in.p${i}`)]));
    expect(config.steps).toBeGreaterThan(0);
    const steps = Array.from(
      { length: config.steps },
      (_, s) => new Map(numbers.map((i) => [`p${i}`, tensor(`in.g${i}`).row(s)])),
    );
    const { state } = await update(initial, steps, {
      schedule: { kind: "constant", lr: config.lr },
      betas: config.betas,
      weightDecay: config.weight_decay,
    });
    for (const i of numbers) {
      const [actual, expected] = [state.get(`p${i}`) as Tensor, tensor(`out.p${i}`)];
      expectWithin(actual, expected, tolerance, `p${i}`);
      // The stated tolerance is wide; what is computed in another order differs by a few units in the last place.
      expect(relativeError(actual, expected), `p${i}`).toBeLessThan(1e-6);
    }
    expect(state.get("came.test.step")?.at()).toBe(config.steps);
    // Matrices keep sums of their sides; the others a moment of every element.
    const isMatrix = ([, , ...kernel]: readonly number[], rank: number) =>
      rank > 1 && kernel.every((side) => side === 1);
    for (const i of numbers) {
      const { shape } = initial.get(`p${i}`) as Tensor;
      const kept = [...state.keys()].filter((name) => name.startsWith("came.") && name.endsWith(`.p${i}`)).sort();
      if (isMatrix(shape, shape.length)) {
        expect(kept).not.toContain(`came.test.v.p${i}`);
        expect(state.get(`came.test.row.p${i}`)?.shape).toEqual([shape[0]]);
        expect(state.get(`came.test.residual_column.p${i}`)?.shape).toEqual([shape[1]]);
      } else {
        expect(kept).toEqual([`came.test.m.p${i}`, `came.test.v.p${i}`]);
        expect(state.get(`came.test.v.p${i}`)?.shape).toEqual(shape);
      }
    }
  });

  test("stays finite where a gradient is 0, and clips the norm of all gradients together", async () => {
    const initial = new Map([
      ["table", Tensor.full([3, 2], 1)],
      ["bias", Tensor.full([2], 1)],
    ]);
    const gradient = new Map([
      ["table", Tensor.float32([0, 0, 0, 0, 3, 0], [3, 2])],
      ["bias", Tensor.float32([0, 4])],
    ]);
    const schedule = { kind: "constant", lr: 0.1 } as const;
    const plain = await update(initial, [gradient], { schedule });
    expect(plain.norms).toEqual([5]);
    for (const tensor of plain.state.values()) expect([...tensor.toFloat32()].every(Number.isFinite)).toBe(true);
    // A row without a gradient stays; decay spares the bias.
    const table = [...(plain.state.get("table") as Tensor).toFloat32()];
    expect(table.slice(0, 4)).toEqual([1, 1, 1, 1]);
    expect(table[4]).toBeLessThan(1);
    const clipped = await update(initial, [gradient], { schedule, clipNorm: 1, weightDecay: 0.5 });
    const moment = (state: ReadonlyMap<string, Tensor>) => state.get("came.test.v.bias")?.toFloat32()[1] as number;
    expect(moment(clipped.state) / moment(plain.state)).toBeCloseTo(1 / 25, 6);
    const rest = (clipped.state.get("table") as Tensor).toFloat32()[0];
    expect([rest, (clipped.state.get("bias") as Tensor).toFloat32()[0]]).toEqual([Math.fround(0.95), 1]);
  });
});

test("refuses another number of gradients", () => {
  const schedule = { kind: "constant", lr: 0.1 } as const;
  const step = { weights: [weight("a", [2])], gradients: [], buffers: new Map(), metrics: {} };
  expect(() => optimizerStep(step, { kind: "came", name: "test", schedule })).toThrow("1 weights but 0 gradients");
});

test("refuses settings out of range, and those of another method", () => {
  const step = { weights: [weight("a", [2])], gradients: [input("g", [2])], buffers: new Map(), metrics: {} };
  const schedule = { kind: "constant", lr: 0.1 } as const;
  const make = (options: object) => () =>
    optimizerStep(step, { name: "denoiser", schedule, ...options } as unknown as OptimizerOptions);
  expect(make({ kind: "adamw", betas: [0.9, 1] })).toThrow(/optimizer "denoiser": betas.1: .*<1/);
  expect(make({ kind: "adamw", clipThreshold: 1 })).toThrow(/optimizer "denoiser": .*clipThreshold/);
  expect(make({ kind: "came", clipThreshold: 1 })).not.toThrow();
});
