/** A training of a diffusion model by ranks in one process has the weights and losses of one rank. */
import { join } from "node:path";
import { useEngine } from "@dcae/test-support/engine";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test } from "vitest";
import { readMetrics } from "../../src/logging/metrics-log.js";
import { makeLatents, STEPS, trainDiffusionBy } from "../support/ranks-diffusion.js";
import { difference, hashFile, statePath } from "../support/train.js";

const folder = temporaryFolder();
const engine = useEngine();

test("two ranks come to the weights and losses of one, and to the same bits again", async () => {
  const path = await makeLatents(join(folder, "latents"));
  const trainBy = async (count: number, name: string) => {
    const ended = await trainDiffusionBy(count, join(folder, name), engine, { path, accumulate: 2 });
    expect(ended).toEqual(Array(count).fill("finished"));
    return join(folder, name);
  };
  const [one, two, again] = [await trainBy(1, "one"), await trainBy(2, "two"), await trainBy(2, "again")];
  expect(await difference(statePath(one, STEPS), statePath(two, STEPS))).toBeLessThanOrEqual(1e-6);
  expect(await hashFile(statePath(again, STEPS))).toBe(await hashFile(statePath(two, STEPS)));
  const lossesOf = async (run: string) =>
    (await readMetrics(join(run, "metrics.jsonl"))).flatMap(({ loss }) => (typeof loss === "number" ? [loss] : []));
  const [expected, found] = [await lossesOf(one), await lossesOf(two)];
  expect(expected.length).toBe(STEPS);
  const error = Math.max(...expected.map((loss, i) => Math.abs(loss - found[i]!)));
  expect(error / Math.max(...expected)).toBeLessThanOrEqual(1e-6);
});
