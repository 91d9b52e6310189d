/** When the adversarial losses set in: every combination of schedule, start, accumulation and phase, over four updates. */
import { createEngine, type Engine } from "@dcae/core";
import { afterAll, beforeAll, describe, test } from "vitest";
import { expectGates } from "../support/gan-updates.js";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ device: "cpu", threads: 1 });
});
afterAll(() => engine.dispose());

describe.each([1, 2, 3] as const)("phase %i", (phase) => {
  describe.each(["both", "alternate"] as const)("%s", (schedule) => {
    const cases = [0, 2, 3].flatMap((start) => [1, 2].map((accumulate) => ({ start, accumulate })));
    test.each(cases)("start $start, $accumulate batches per update", async ({ start, accumulate }) => {
      await expectGates(engine, { phase, schedule, start, accumulate });
    });
  });
});
