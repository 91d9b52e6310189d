/** Evaluations: each picture counts once, whatever the size of batches. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createEngine, type Engine, saveImage } from "@dcae/core";
import { initialWeights } from "@dcae/core/checkpoint";
import { modelParameters } from "@dcae/core/models";
import type { EngineState } from "@dcae/core/runtime";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fileSource, sceneSource } from "../../src/data/picture-source.js";
import { readMetrics } from "../../src/logging/metrics-log.js";
import { drawScene } from "../../src/scenes/draw-scene.js";
import { createTrainingState } from "../../src/step/training-state.js";
import { reconstructor } from "../../src/trainer/autoencoder-stages.js";
import { bestBy } from "../../src/trainer/best-by.js";
import { reconstructionEvaluation, shareOut } from "../../src/trainer/evaluate-reconstruction.js";
import type { Evaluation } from "../../src/trainer/fit.js";
import { describeModel } from "../../src/trainer/phase-start.js";
import { TINY_PHASES, tinyTraining } from "../support/tiny-training.js";
import { train } from "../support/train.js";

const folder = temporaryFolder();
const runs = temporaryFolder();
const model = describeModel(tinyTraining());
const weights = initialWeights(modelParameters(model), 0);
let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ device: "cpu", threads: 1 });
  for (let seed = 0; seed < 5; seed++) {
    await saveImage(drawScene({ width: 16, height: 16, seed }), join(folder, `${seed}.png`));
  }
  await writeFile(join(folder, "2-broken.png"), "no picture");
});
afterAll(() => engine.dispose());

async function evaluate(batch: number, count: number): Promise<Evaluation & { readonly unreadable: string[] }> {
  const unreadable: string[] = [];
  const evaluation = reconstructionEvaluation({
    engine,
    reconstruction: { reconstruct: reconstructor(model.config), images: [batch, 3, 16, 16], lpipsWeight: 0 },
    sources: [{ source: await fileSource(folder) }],
    count,
    seed: 0,
    ema: null,
    workers: 0,
    onCorrupt: (name) => unreadable.push(name),
  });
  const state = await createTrainingState(engine, [], weights);
  try {
    return { ...(await evaluation(state, weights)), unreadable };
  } finally {
    await state.dispose();
  }
}

test("a set of five pictures, one of six can't be read, is five pictures in batches of any size", async () => {
  const single = await evaluate(1, 32);
  expect(single.unreadable).toEqual([join(folder, "2-broken.png")]);
  const sheet = single.pictures!.reconstructions!;
  expect([sheet.width, sheet.height]).toEqual([5 * 18 + 2, 2 * 18 + 2]);
  for (const batch of [2, 4, 8]) {
    const { metrics, pictures, score } = await evaluate(batch, 32);
    expect(metrics.psnr).toBeCloseTo(single.metrics.psnr!, 3);
    expect(metrics.l1).toBeCloseTo(single.metrics.l1!, 6);
    expect(score).toBeCloseTo(single.score!, 6);
    expect(pictures!.reconstructions!.width).toBe(sheet.width);
  }
});

test("no more than are asked for", async () => {
  const [three, all] = [await evaluate(2, 3), await evaluate(2, 5)];
  expect(three.pictures!.reconstructions!.width).toBe(3 * 18 + 2);
  expect(three.metrics.psnr).not.toBe(all.metrics.psnr);
});

test("several sources give their shares, and none gives a picture twice", () => {
  const scenes = (count: number) => sceneSource({ count });
  const shares = (counts: readonly number[], count: number, weights: readonly (number | undefined)[] = []) =>
    shareOut(
      counts.map((pictures, i) => ({ source: scenes(pictures), weight: weights[i] })),
      count,
    );
  expect(shares([6], 32)).toEqual([6]);
  expect(shares([30, 10], 8)).toEqual([6, 2]);
  expect(shares([100, 100], 8, [0.25, 0.75])).toEqual([2, 6]);
  expect(shares([2, 100], 8, [0.5, 0.5])).toEqual([2, 6]);
  expect(shares([3, 5], 8, [0, 1])).toEqual([0, 5]);
});

test("the best evaluation is that of the metric that is named, and one that isn't there is refused", async () => {
  const evaluation: Evaluation = { metrics: { l1: 0.5, psnr: 20, psnr_c8: 12 }, score: 7 };
  const scoreBy = async (metric?: string, found = evaluation) => {
    const evaluate = bestBy(metric, async () => found, { sharpness: "higher" });
    const { score, better, scoredBy } = (await evaluate({} as EngineState, weights))!;
    return [score, better, scoredBy];
  };
  expect(await scoreBy()).toEqual([7, undefined, undefined]);
  expect(await scoreBy("l1")).toEqual([0.5, "lower", "l1"]);
  expect(await scoreBy("psnr")).toEqual([20, "higher", "psnr"]);
  expect(await scoreBy("psnr_c8")).toEqual([12, "higher", "psnr_c8"]);
  await expect(scoreBy("lpips")).rejects.toThrow('best: the evaluation has no metric "lpips"');
  expect((await scoreBy("psnr", { metrics: { l1: Number.NaN }, score: 1 }))[0]).toBe(1);
  // One that is computed beside the trainer says itself which way it is better; without that it isn't known here.
  const beside: Evaluation = { metrics: { sharpness: 3, other: 1 } };
  expect(await scoreBy("sharpness", beside)).toEqual([3, "higher", "sharpness"]);
  await expect(scoreBy("other", beside)).rejects.toThrow('no metric "other"');
});

test("a training goes by it", async () => {
  const schedule = { kind: "constant" as const, lr: 2e-3 };
  const phase = { ...TINY_PHASES.one, optimizer: { schedule }, steps: 3, evaluateEvery: 1, ema: null };
  const { results } = await train(engine, join(runs, "by-psnr"), tinyTraining([{ ...phase, best: "psnr" }]));
  const rows = await readMetrics(join(runs, "by-psnr", "phase1", "metrics.jsonl"));
  const values = rows.flatMap((row) => ("eval_psnr" in row ? [row.eval_psnr as number] : []));
  expect(values.length).toBe(4);
  const best = results[0]!.best!;
  expect(best).toMatchObject({ metric: "psnr", step: values.indexOf(Math.max(...values)) });
  expect(best.score).toBeCloseTo(Math.max(...values), 4);
});
