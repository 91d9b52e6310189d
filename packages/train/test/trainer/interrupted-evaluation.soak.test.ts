/** Evaluations that take long are interrupted by whoever stops a run: they are made when it goes on. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { initialWeights } from "@dcae/core/checkpoint";
import type { Communicator } from "@dcae/core/internal";
import { modelParameters } from "@dcae/core/models";
import { useEngine } from "@dcae/test-support/engine";
import { onRanks } from "@dcae/test-support/ranks";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test } from "vitest";
import { readMetrics } from "../../src/logging/metrics-log.js";
import { autoencoderStages } from "../../src/trainer/autoencoder-stages.js";
import { type Evaluation, fit } from "../../src/trainer/fit.js";
import { openBatches } from "../../src/trainer/open-data.js";
import { describeModel } from "../../src/trainer/phase-start.js";
import { TINY_PHASES, tinyTraining } from "../support/tiny-training.js";

const engine = useEngine();
const folder = temporaryFolder();

const config = tinyTraining([TINY_PHASES.one]);
const phase = config.phases[0]!;
const model = describeModel(config);
const stages = autoencoderStages(phase, model.config, null);
const weights = initialWeights(modelParameters(model), 0);
const batches = (position: unknown) => openBatches(config.data, phase, 0, position, () => undefined);
const run = async (name: string, steps: number, interrupted: readonly number[], ranks?: Communicator) => {
  const controller = new AbortController();
  let step = 0;
  let asked = 0;
  const evaluate = async (): Promise<Evaluation | undefined> => {
    asked += 1;
    if (interrupted.includes(step)) {
      controller.abort();
      return undefined;
    }
    return { metrics: { l1: step === 2 ? 1 : 2 }, score: step === 2 ? 1 : 2 };
  };
  // biome-ignore lint/suspicious/noFocusedTests: this fit trains a model
  const result = await fit({
    ...{ directory: join(folder, name), engine, stages, weights, seed: 0, batches, steps, identity: {} },
    ...{ evaluateEvery: 2, checkpointEvery: 10, evaluate, signal: controller.signal, ranks },
    progress: {
      show: (state) => {
        step = state.step;
      },
      clear: () => undefined,
    },
    exportModel: async (_state, _weights, path) => writeFile(`${path}.txt`, "exported"),
    // A run that goes on is at its checkpoint's update.
    onMessage: (text) => {
      step = Number(/resuming after update (\d+)/.exec(text)?.[1] ?? step);
    },
  });
  return { result, asked };
};

test("an evaluation that was interrupted is made when the run goes on, and nothing tells the runs apart", async () => {
  const whole = await run("whole", 4, []);
  expect(whole.asked).toBe(3);
  expect(await run("cut", 4, [2])).toMatchObject({
    result: { status: "stopped", step: 2, best: { step: 0 } },
    asked: 2,
  });
  const notes = async () =>
    JSON.parse(await readFile(join(folder, "cut", "checkpoints", "step-00000002", "checkpoint.json"), "utf8"));
  expect(await notes()).toMatchObject({ pending: true, best: { step: 0 } });
  // Interrupted again: as before. Then at the end, where the model must wait for its evaluation.
  expect((await run("cut", 4, [2])).result).toMatchObject({ status: "stopped", step: 2 });
  expect((await run("cut", 4, [4])).result).toMatchObject({ status: "stopped", step: 4, best: { step: 2 } });
  expect((await notes()).pending).toBeUndefined();
  await expect(readFile(join(folder, "cut", "model.txt"))).rejects.toThrow(/ENOENT/);
  // Killed between the evaluation and the checkpoint that knows of it: it is made again, and isn't there twice.
  const log = join(folder, "cut", "metrics.jsonl");
  await writeFile(log, `${await readFile(log, "utf8")}{"step":4,"time":1,"eval_l1":2}\n`);
  expect((await run("cut", 4, [])).result).toEqual({ ...whole.result, checkpoint: expect.any(String), metrics: {} });
  const rows = async (name: string) =>
    (await readMetrics(join(folder, name, "metrics.jsonl"))).map(
      ({ time, images_per_second, waiting_for_data, ...row }) => row,
    );
  expect(await rows("cut")).toEqual(await rows("whole"));
  expect(await readFile(join(folder, "cut", "model.txt"), "utf8")).toBe("exported");
});

test("ranks that train together know of it, and make it together", async () => {
  const together = (interrupted: readonly number[]) =>
    onRanks(2, async (ranks) => (await run("ranks", 4, interrupted, ranks)).result);
  for (const result of await together([2])) expect(result).toMatchObject({ status: "stopped", step: 2 });
  for (const result of await together([4])) expect(result).toMatchObject({ status: "stopped", step: 4 });
  const [first] = await together([]);
  expect(first).toMatchObject({ status: "finished", step: 4, best: { step: 2 } });
});
