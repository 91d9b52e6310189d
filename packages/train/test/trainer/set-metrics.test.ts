/** Numbers of whole sets of pictures at the evaluations of a run, computed beside the trainer. */
import { join } from "node:path";
import type { Image } from "@dcae/core/image";
import { useEngine } from "@dcae/test-support/engine";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test } from "vitest";
import { readMetrics } from "../../src/logging/metrics-log.js";
import type { PictureSet, SetMetrics } from "../../src/trainer/set-metrics.js";
import { ADAPTIVE_MODEL, TINY_PHASES, tinyTraining } from "../support/tiny-training.js";
import { train } from "../support/train.js";

const engine = useEngine();
const folder = temporaryFolder();

/** How much darker the reconstructions are on the whole, of which less is called better; and how many there are. */
function darkness(log: string[]): SetMetrics {
  const sets = new WeakMap<PictureSet, Image[]>();
  const meanOf = (set: PictureSet | undefined) => {
    const bytes = sets.get(set!)!.flatMap(({ data }) => [...data]);
    return bytes.reduce((sum, byte) => sum + byte, 0) / bytes.length;
  };
  return {
    better: { darker: "lower", made: "higher" },
    collect() {
      const images: Image[] = [];
      const set: PictureSet = { add: async (pictures) => void images.push(...pictures) };
      sets.set(set, images);
      log.push("collect");
      return set;
    },
    async compare(made, originals) {
      return { darker: meanOf(originals) - meanOf(made), made: sets.get(made)!.length };
    },
    close: async () => void log.push("close"),
  };
}

const evaluations = async (run: string, metric = "eval_l1") =>
  (await readMetrics(join(folder, run, "phase1", "metrics.jsonl"))).filter((row) => metric in row);

test("stand in the log, decide what is best, and are asked for with the phase's size", async () => {
  const log: string[] = [];
  const phase = { ...TINY_PHASES.one, steps: 2, evaluateEvery: 1, best: "darker" };
  const config = tinyTraining([phase], { evaluate: ["darkness"], validation: { count: 3 } });
  const { results } = await train(engine, join(folder, "darker"), config, {
    async openSetMetrics(names, size) {
      log.push(`${names} ${size}`);
      return darkness(log);
    },
  });
  // The originals once, then what each evaluation makes.
  expect(log).toEqual(["darkness 16", "collect", "collect", "collect", "collect", "close"]);
  const rows = await evaluations("darker");
  expect(rows.map(({ eval_made }) => eval_made)).toEqual([3, 3, 3]);
  const found = rows.map(({ eval_darker }) => eval_darker as number);
  const best = results[0]!.best!;
  expect(best.metric).toBe("darker");
  expect(best.step).toBe(found.indexOf(Math.min(...found)));
  expect(best.score).toBeCloseTo(Math.min(...found), 3);
});

test("are there for every count of channels", async () => {
  const phase = { ...TINY_PHASES.one, steps: 1, ema: null, channels: { counts: [1, 4] }, best: "made_c4" };
  const config = tinyTraining([phase], { evaluate: ["darkness"], model: ADAPTIVE_MODEL });
  const { results } = await train(engine, join(folder, "counts"), config, { openSetMetrics: async () => darkness([]) });
  const rows = await evaluations("counts", "eval_l1_c4");
  expect(rows.map(({ eval_made_c1, eval_made_c4 }) => [eval_made_c1, eval_made_c4])).toEqual([
    [2, 2],
    [2, 2],
  ]);
  expect(rows[0]!.eval_darker_c1).not.toBe(rows[0]!.eval_darker_c4);
  // More is better, and it stays the same: the first evaluation is the best.
  expect(results[0]!.best).toEqual({ step: 0, score: 2, metric: "made_c4" });
});

test("a training that names some is refused where nothing computes them", async () => {
  const config = tinyTraining([TINY_PHASES.one], { evaluate: ["rfid"] });
  await expect(train(engine, join(folder, "none"), config)).rejects.toThrow("evaluate: nothing here computes rfid");
});
