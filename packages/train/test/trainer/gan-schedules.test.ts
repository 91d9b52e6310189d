/** When the adversarial losses set in, over four updates of phase 3; all phases and more starts are in the soak test. */
import { useEngine } from "@dcae/test-support/engine";
import { describe, expect, test } from "vitest";
import { expectGates, ganUpdates } from "../support/gan-updates.js";

const engine = useEngine();

describe.each(["both", "alternate"] as const)("%s", (schedule) => {
  test.each([1, 2])("start 3, %i batches per update", async (accumulate) => {
    await expectGates(engine, { phase: 3, schedule, start: 3, accumulate });
  });
});

test("the factor scales both losses beside the weight", async () => {
  const joint = { phase: 3, schedule: "both", start: 0, accumulate: 1 } as const;
  const [full] = await ganUpdates(engine, joint);
  const [half] = await ganUpdates(engine, { ...joint, factor: 0.5 });
  expect(half!.lambda! / full!.lambda!).toBeCloseTo(0.5, 5);
  // The discriminator's follows a generator that moved by another step.
  expect(half!.d_loss! / full!.d_loss!).toBeCloseTo(0.5, 2);
});
