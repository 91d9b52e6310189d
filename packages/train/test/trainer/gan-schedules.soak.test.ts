/** When the adversarial losses set in: every combination of schedule, start, accumulation and phase, over four updates. */
import { useEngine } from "@dcae/test-support/engine";
import { describe, test } from "vitest";
import { expectGates } from "../support/gan-updates.js";

const engine = useEngine();

describe.each([1, 2, 3] as const)("phase %i", (phase) => {
  describe.each(["both", "alternate"] as const)("%s", (schedule) => {
    const cases = [0, 2, 3].flatMap((start) => [1, 2].map((accumulate) => ({ start, accumulate })));
    test.each(cases)("start $start, $accumulate batches per update", async ({ start, accumulate }) => {
      await expectGates(engine, { phase, schedule, start, accumulate });
    });
  });
});
