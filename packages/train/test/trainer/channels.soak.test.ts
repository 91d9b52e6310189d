/** Runs with drawn counts of channels that are stopped in every phase. */
import { useEngine } from "@dcae/test-support/engine";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { test } from "vitest";
import { ADAPTIVE_MODEL, CHANNEL_PHASES, tinyTraining } from "../support/tiny-training.js";
import { expectSameBits } from "../support/train.js";

const folder = temporaryFolder();
const engine = useEngine();

test("all three phases go on with the same bits", async () => {
  await expectSameBits(engine, folder, tinyTraining(CHANNEL_PHASES, { model: ADAPTIVE_MODEL }));
});
