/** Twenty updates of each phase by two and four ranks: those of one rank, and the same bits every time. */
import { useEngine } from "@dcae/test-support/engine";
import { expect, test } from "vitest";
import { expectSameTraining, RANKED_PHASES, trainOn } from "../support/ranks-updates.js";

const engine = useEngine();
const UPDATES = 20;

test.each(RANKED_PHASES.map((phase) => [phase.name, phase] as const))("%s", async (_, phase) => {
  const alone = await trainOn(engine, 1, phase, UPDATES);
  const shared = await trainOn(engine, 2, phase, UPDATES);
  expectSameTraining(alone, shared, 1e-6);
  expectSameTraining(alone, await trainOn(engine, 4, phase, UPDATES), 1e-6);
  const again = await trainOn(engine, 2, phase, UPDATES);
  expect(again[0]?.metrics).toEqual(shared[0]?.metrics);
  for (const [name, { bytes }] of shared[0]?.tensors ?? []) expect(again[0]?.tensors.get(name)?.bytes).toEqual(bytes);
});
