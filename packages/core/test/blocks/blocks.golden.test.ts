/** Every golden block of the reference: outputs, and the buffers that training changes. */
import { BLOCK_TOLERANCE, expectClose, LARGE_TILES_TOLERANCE } from "@dcae/test-support/compare";
import { buildGoldenBlock, isExact } from "@dcae/test-support/golden-blocks";
import { dcAeCases, dcAeNames } from "@dcae/test-support/golden-dcae";
import { runGraph } from "@dcae/test-support/run-graph";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Tensor } from "../../src/graph/tensor.js";
import type { Engine } from "../../src/runtime/index.js";
import { createRewritingEngine, REWRITES, type Rewrites } from "../support/rewrite-engines.js";

const names = dcAeNames("block");

const engines = new Map<Rewrites, Engine>();
beforeAll(async () => {
  for (const rewrites of REWRITES) engines.set(rewrites, await createRewritingEngine(rewrites));
});
afterAll(() => Promise.all([...engines.values()].map((engine) => engine.dispose())));

describe.each(names)("%s", (name) => {
  test.each(REWRITES)("forward, rewrites %s", async (rewrites) => {
    const engine = engines.get(rewrites) as Engine;
    const golden = await dcAeCases.load(name);
    const forward = buildGoldenBlock(golden);
    const training = golden.mode === "train";
    const tolerance = rewrites === "everywhere, large tiles" ? LARGE_TILES_TOLERANCE : BLOCK_TOLERANCE;
    expect(golden.calls.length).toBeGreaterThan(0);
    for (const call of golden.calls) {
      const [x] = call.in.map((input) => golden.tensor(input)) as [Tensor];
      const { y, ...updates } = await runGraph(
        engine,
        { x },
        (scope, { x }) => {
          const y = forward(scope, x);
          // Updates are read as plain outputs here: the test looks at their values.
          return { y, ...Object.fromEntries([...scope.updates].map(([key, value]) => [`after.${key}`, value])) };
        },
        golden.weights,
        { training },
      );
      expectClose(y as Tensor, golden.tensor(call.out), isExact(golden) ? 0 : tolerance);
      const after = [...golden.tensors].filter(([key]) => key.startsWith("after."));
      expect(Object.keys(updates).sort()).toEqual(after.map(([key]) => key).sort());
      for (const [key, expected] of after) {
        expectClose(updates[key] as Tensor, expected, tolerance);
      }
    }
  });
});
