/** Every golden block of the reference: outputs, and the buffers that training changes. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Tensor } from "../../src/graph/tensor.js";
import type { Engine } from "../../src/runtime/index.js";
import { BLOCK_TOLERANCE, expectClose, LARGE_TILES_TOLERANCE } from "../support/compare.js";
import { goldenNamesOf, loadGolden, tensorOf } from "../support/golden.js";
import { buildGoldenBlock, isExact } from "../support/golden-blocks.js";
import { createRewritingEngine, REWRITES, type Rewrites } from "../support/rewrite-engines.js";
import { runGraph } from "../support/run-graph.js";

const names = goldenNamesOf("block");

const engines = new Map<Rewrites, Engine>();
beforeAll(async () => {
  for (const rewrites of REWRITES) engines.set(rewrites, await createRewritingEngine(rewrites));
});
afterAll(() => Promise.all([...engines.values()].map((engine) => engine.dispose())));

describe.each(names)("%s", (name) => {
  test.each(REWRITES)("forward, rewrites %s", async (rewrites) => {
    const engine = engines.get(rewrites) as Engine;
    const golden = await loadGolden(name);
    const forward = buildGoldenBlock(golden);
    const training = golden.mode === "train";
    const tolerance = rewrites === "everywhere, large tiles" ? LARGE_TILES_TOLERANCE : BLOCK_TOLERANCE;
    expect(golden.calls.length).toBeGreaterThan(0);
    for (const call of golden.calls) {
      const inputs = call.in.map((input) => tensorOf(golden, input));
      const { y, updates } = await runGraph(engine, inputs, forward, { weights: golden.weights, training });
      expectClose(y, tensorOf(golden, call.out), isExact(golden) ? 0 : tolerance);
      const after = [...golden.tensors].filter(([key]) => key.startsWith("after."));
      expect(Object.keys(updates).sort()).toEqual(after.map(([key]) => key).sort());
      for (const [key, expected] of after) {
        expectClose(updates[key] as Tensor, expected, tolerance);
      }
    }
  });
});
