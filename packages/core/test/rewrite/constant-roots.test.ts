/** Which constants of a program are computed together. */
import fc from "fast-check";
import { expect, test } from "vitest";
import * as g from "../../src/graph/index.js";
import { constantRoots, groupByWeights } from "../../src/graph/rewrite/constant-roots.js";
import { buildDecodeProgram } from "../../src/internal/index.js";
import type { DcAePreset } from "../../src/models/dc-ae/dc-ae-presets.js";
import { getPreset } from "../../src/models/index.js";

const weightsOf = (root: g.Value) =>
  g
    .topologicalOrder([root])
    .filter(({ op }) => op === "parameter")
    .map((value) => (value.attributes as { name: string }).name);

test("groups part the roots, and each weight is in one group", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uniqueArray(fc.integer({ min: 0, max: 7 }), { minLength: 1, maxLength: 3 }), { maxLength: 12 }),
      (sums) => {
        const scope = g.createScope();
        const weights = Array.from({ length: 8 }, (_, i) => scope.parameter(`w${i}`, [2]));
        const roots = sums.map((indices) =>
          indices
            .map((i) => weights[i] as g.Value)
            .reduce((sum, weight) => g.add(sum, weight), g.mul(weights[indices[0] as number] as g.Value, 2)),
        );
        const groups = groupByWeights(roots);
        expect(new Set(groups.flat())).toEqual(new Set(roots));
        expect(groups.flat().length).toBe(roots.length);
        const owners = groups.map((group) => new Set(group.flatMap(weightsOf)));
        const all = owners.flatMap((names) => [...names]);
        expect(new Set(all).size).toBe(all.length);
      },
    ),
  );
});

test("a published model's convolutions are computed one by one, each with its norm", () => {
  const { config } = getPreset("dc-ae-f32c32-in-1.0") as DcAePreset;
  const fast = g.optimize(buildDecodeProgram({ kind: "dc-ae", config }, [1, 32, 8, 8]));
  const computed = constantRoots(fast, 4097).filter(({ inputs }) => inputs.length > 0);
  const groups = groupByWeights(computed);
  expect(groups.length).toBeGreaterThan(30);
  const convolutions = groups.map(
    (group) => new Set(group.flatMap(weightsOf).filter((name) => name.endsWith("conv.weight"))),
  );
  expect(Math.max(...convolutions.map(({ size }) => size))).toBe(1);
});
