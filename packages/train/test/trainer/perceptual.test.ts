/** A training whose perceptual loss is the distance in the features of a network that the user has. */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { useEngine } from "@dcae/test-support/engine";
import { smallKerasModel, writeKerasModel } from "@dcae/test-support/keras-model";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { describe, expect, test } from "vitest";
import { readMetrics } from "../../src/logging/metrics-log.js";
import { inspectTraining } from "../../src/trainer/inspect-training.js";
import { describePerceptual } from "../../src/trainer/open-perceptual.js";
import { planTraining } from "../../src/trainer/plan-training.js";
import { TINY_PHASES, tinyTraining } from "../support/tiny-training.js";
import { expectSameBits, statePath, tensorBytes, train } from "../support/train.js";

const folder = temporaryFolder();
const engine = useEngine();
const network = await writeKerasModel(join(folder, "network"));
const phase = { ...TINY_PHASES.one, steps: 1, evaluateEvery: 1, ema: null };

describe("features of a network", () => {
  test("are a part of the loss, of evaluations and of the plan, and their network doesn't train", async () => {
    const config = tinyTraining([{ ...phase, lpipsWeight: 0.5, best: "features" }], { perceptual: { network } });
    const { results, directory } = await train(engine, join(folder, "one"), config);
    const { loss, l1, features } = results[0]!.metrics as Record<string, number>;
    expect(features).toBeGreaterThan(0);
    expect(loss).toBeCloseTo(l1! + 0.5 * features!, 5);
    const saved = await tensorBytes(statePath(join(directory, "phase1"), 1));
    expect([...saved.keys()].filter((name) => name.includes("features"))).toEqual([]);
    const rows = await readMetrics(join(directory, "phase1", "metrics.jsonl"));
    expect(rows[2]).toMatchObject({ eval_features: expect.any(Number) });
    expect(rows[2]).not.toHaveProperty("eval_lpips");
    expect(results[0]!.best!.metric).toBe("features");

    const [plan] = planTraining(config, undefined, true, 1, await describePerceptual(config));
    const label = `features of ${join(network, "model.json")} (second, joined, leaky)`;
    expect(plan!.losses).toEqual(["L1", label]);
    expect((await inspectTraining(config)).found).toContain(`compared by ${label}`);
    expect(() => planTraining(config)).toThrow("perceptual: a plan needs to know what the network is");
  });

  test("take part in the adversarial phase, and a stopped run goes on with the same bits", async () => {
    const layers = ["stem_relu", "joined"];
    const phases = [
      { ...TINY_PHASES.one, steps: 2, evaluateEvery: 2 },
      { ...TINY_PHASES.three, steps: 2 },
    ];
    const config = tinyTraining(phases, { perceptual: { network, layers, range: [-1, 1] } });
    await expectSameBits(engine, join(folder, "bits"), config);
  });

  test("of another network, or other layers of it, don't go on with a run; a network that moved does", async () => {
    const place = join(folder, "moving");
    const files = smallKerasModel();
    const at = await writeKerasModel(place, files);
    const two = (perceptual: object, steps = 2) => tinyTraining([{ ...phase, steps }], { perceptual });
    await train(engine, join(folder, "moved"), two({ network: at }));
    await expect(train(engine, join(folder, "moved"), two({ network: at, layers: ["joined"] }, 3))).rejects.toThrow(
      /features/,
    );
    await rename(place, join(folder, "elsewhere"));
    await train(engine, join(folder, "moved"), two({ network: join(folder, "elsewhere") }, 3));
    const [first] = [...files.shards.values()];
    first!.fill(7, 0, 100);
    const other = await writeKerasModel(join(folder, "other"), files);
    await expect(train(engine, join(folder, "moved"), two({ network: other }, 4))).rejects.toThrow(/weights/);
  });

  test("say in one line what can't be done", async () => {
    const begin = (perceptual: object, size = 16) =>
      train(engine, join(folder, "refused"), tinyTraining([{ ...phase, size }], { perceptual } as never));
    await expect(begin({ network: join(folder, "nowhere") })).rejects.toThrow(/^perceptual: .*nowhere.*no such file/);
    await mkdir(join(folder, "empty"));
    await expect(begin({ network: join(folder, "empty") })).rejects.toThrow(/^perceptual: .*model\.json: can't read/);
    await writeFile(join(folder, "notes.json"), "{}");
    await expect(begin({ network: join(folder, "notes.json") })).rejects.toThrow(/isn't a model of TensorFlow\.js/);
    await expect(begin({ network, layers: ["classes"] })).rejects.toThrow(/the layer "classes" comes behind "pooled"/);
    await expect(begin({ network, layers: ["stem"] })).rejects.toThrow(/one with "stem_norm" behind it/);
    expect(() => begin({ network, range: [1, 0] })).toThrow("perceptual.range: must be the value of black");
    await expect(begin({ network }, 4)).rejects.toThrow(/the layer "halved" needs 3 rows and columns, and 1 are left/);
  });
});
