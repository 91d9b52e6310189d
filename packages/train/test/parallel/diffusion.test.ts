/** Trainings of diffusion models by ranks in one process: numbers of one rank alone that aren't finite. */
import { join } from "node:path";
import { useEngine } from "@dcae/test-support/engine";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test } from "vitest";
import { COUNT, makeLatents, trainDiffusionBy } from "../support/ranks-diffusion.js";

const folder = temporaryFolder();
const engine = useEngine();

test("a number that isn't finite on one rank alone stops all, and the message names that rank", async () => {
  const validation = await makeLatents(join(folder, "good"));
  const named: string[] = [];
  for (let wrong = 0; wrong < COUNT; wrong++) {
    const path = await makeLatents(join(folder, `wrong-${wrong}`), wrong);
    const [message = "", ...others] = await trainDiffusionBy(2, join(folder, `nan-${wrong}`), engine, {
      path,
      validation,
      accumulate: 1,
    });
    expect(others).toEqual([message]);
    named.push(/^training diverged at update 1: \w+ is NaN on (rank \d); /.exec(message)?.[1] ?? message);
  }
  // An update sees every latent once, each rank one of them.
  expect(named.sort()).toEqual(["rank 0", "rank 1"]);
});
