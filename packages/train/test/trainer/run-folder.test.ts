/** What happens to a run's folder: its lock, its removal, what fails to close, and what the start leaves in it. */
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { DataError } from "@dcae/core";
import { initialWeights } from "@dcae/core/checkpoint";
import { modelParameters } from "@dcae/core/models";
import { withClosing } from "@dcae/core/runtime";
import { useEngine } from "@dcae/test-support/engine";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { describe, expect, test } from "vitest";
import { readMetrics } from "../../src/logging/metrics-log.js";
import { autoencoderStages } from "../../src/trainer/autoencoder-stages.js";
import { type FitOptions, fit } from "../../src/trainer/fit.js";
import { openBatches } from "../../src/trainer/open-data.js";
import { describeModel } from "../../src/trainer/phase-start.js";
import { lockRun } from "../../src/trainer/run-lock.js";
import { TINY_PHASES, tinyTraining } from "../support/tiny-training.js";
import { hashFile, train } from "../support/train.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const engine = useEngine();

const config = tinyTraining([{ ...TINY_PHASES.one, steps: 4 }]);
const phase = config.phases[0]!;
const model = describeModel(config);

/** A run by the loop itself. */
const run = (name: string, more: Partial<FitOptions> = {}) =>
  // biome-ignore lint/suspicious/noFocusedTests: this fit trains a model
  fit({
    directory: at(name),
    engine,
    stages: autoencoderStages(phase, model.config, null),
    weights: initialWeights(modelParameters(model), 0),
    seed: 0,
    batches: (position) => openBatches(config.data, phase, 0, position, () => undefined),
    steps: phase.steps,
    identity: {},
    checkpointEvery: 2,
    ...more,
  });

describe("the lock", () => {
  test("appears with its content", async () => {
    const path = join(at("whole"), "run.lock");
    let isDone = false;
    const seen = new Set<string>();
    const look = () => {
      if (existsSync(path)) {
        try {
          seen.add(readFileSync(path, "utf8") === "" ? "empty" : "written");
        } catch {
          // given back between the two calls
        }
      }
      if (!isDone) setImmediate(look);
    };
    look();
    for (let i = 0; i < 100; i++) await (await lockRun(at("whole"))).release();
    isDone = true;
    expect([...seen]).toEqual(["written"]);
    expect(await readdir(at("whole"))).toEqual([]);
  });

  test("of a process that is gone, or torn, goes to one of those who want it", async () => {
    const gone = JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), started: "1" });
    for (const [i, text] of [gone, "", "null", '{"pid":'].entries()) {
      await mkdir(at(`stale-${i}`));
      await writeFile(at(`stale-${i}`, "run.lock"), text);
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockRun(at(`stale-${i}`))));
      const won = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
      expect(won, text).toHaveLength(1);
      for (const result of results) {
        if (result.status === "rejected") expect(String(result.reason)).toMatch(/is training in this folder/);
      }
      await won[0]!.check();
      await won[0]!.release();
      expect(await readdir(at(`stale-${i}`)), text).toEqual([]);
    }
  });

  test("of another process is neither removed nor written over", async () => {
    // A container of this machine's name, where the number of a process that is gone means another one.
    await mkdir(at("container"), { recursive: true });
    const contained = { pid: 2 ** 22 + 1, host: hostname(), started: "1", numbers: "0123abcd" };
    await writeFile(at("container", "run.lock"), JSON.stringify(contained));
    await expect(lockRun(at("container"))).rejects.toThrow(/process 4194305 on .* is training in this folder/);
    const lock = await lockRun(at("taken"));
    const other = JSON.stringify({ pid: process.pid, host: hostname(), started: null });
    await writeFile(at("taken", "run.lock"), other);
    await expect(lock.check()).rejects.toThrow(/another process trains in this folder now/);
    await lock.release();
    expect(await readFile(at("taken", "run.lock"), "utf8")).toBe(other);
  });

  test("that was removed alone is made again", async () => {
    const lock = await lockRun(at("again"));
    await rm(at("again", "run.lock"));
    await lock.check();
    await expect(lockRun(at("again"))).rejects.toThrow(/is training in this folder/);
    await lock.release();
    expect(await readdir(at("again"))).toEqual([]);
  });
});

describe("a folder that is removed during the run", () => {
  test.each([
    ["in an update", {}],
    ["between lines of the log", { logEvery: 100 }],
  ])("%s ends it with an error, and stays removed", async (name, more) => {
    const progress = {
      show: ({ step }: { step: number }) => {
        if (step === 3) removed = rm(at(name), { recursive: true });
      },
      clear: () => undefined,
    };
    let removed: Promise<void> | undefined;
    const evaluate = async () => {
      await removed;
      return { metrics: { l1: 1 } };
    };
    const running = run(name, { ...more, progress, evaluate, evaluateEvery: 3 });
    await expect(running).rejects.toThrow(DataError);
    await expect(running).rejects.toThrow(`${at(name)}: was removed during the run`);
    expect(existsSync(at(name))).toBe(false);
  });
});

describe("closing", () => {
  test("goes on where something fails to close, and the lock is given back", async () => {
    const opened = (position: unknown) => openBatches(config.data, phase, 0, position, () => undefined);
    const batches = async (position: unknown) => ({
      ...(await opened(position)),
      close: () => Promise.reject(new Error("can't close")),
    });
    await expect(run("closing", { batches })).rejects.toThrow("can't close");
    expect(existsSync(at("closing", "run.lock"))).toBe(false);
    expect((await run("closing", { steps: 5 })).step).toBe(5);
  });

  test("is in reverse, and the first error is the one that is told", async () => {
    const closed: number[] = [];
    const work = (fails: boolean) =>
      withClosing(async (onEnd) => {
        for (const i of [1, 2, 3]) {
          onEnd(async () => {
            closed.push(i);
            if (i > 1) throw new Error(`close ${i}`);
          });
        }
        if (fails) throw new Error("work");
        return "done";
      });
    await expect(work(true)).rejects.toThrow("work");
    await expect(work(false)).rejects.toThrow("close 3");
    expect(closed).toEqual([3, 2, 1, 3, 2, 1]);
  });
});

describe("the start", () => {
  test("is evaluated, and the best until something is better", async () => {
    // Updates in the wrong direction, as of a fine-tuning that spoils its model.
    const optimizer = { schedule: { kind: "constant" as const, lr: 0.5 } };
    const spoiled = tinyTraining([{ ...TINY_PHASES.one, steps: 2, optimizer, ema: null, evaluateEvery: 1 }]);
    const { results, messages, directory } = await train(engine, at("spoiled"), spoiled);
    expect(results[0]!.best!.step).toBe(0);
    expect(messages.some((text) => /^phase1: before the first update, evaluation: l1 [\d.]+, psnr/.test(text))).toBe(
      true,
    );
    expect(messages.filter((text) => text.includes("the best so far"))).toEqual([]);
    const files = join(directory, "phase1");
    const rows = await readMetrics(join(files, "metrics.jsonl"));
    expect(rows.filter((row) => "eval_l1" in row).map(({ step }) => step)).toEqual([0, 1, 2]);
    expect((await readdir(join(files, "samples")))[0]).toBe("reconstructions-00000000.png");
    const [best, last] = ["best", "model"].map((name) => join(files, name, "model.safetensors"));
    expect(await hashFile(best!)).not.toBe(await hashFile(last!));
  });

  test("isn't evaluated again by a run that goes on", async () => {
    let evaluations = 0;
    const evaluate = async () => ({ metrics: { l1: ++evaluations } });
    await run("once", { steps: 2, evaluate, evaluateEvery: 100 });
    await run("once", { steps: 4, evaluate, evaluateEvery: 100 });
    const rows = await readMetrics(at("once", "metrics.jsonl"));
    expect(rows.filter((row) => "eval_l1" in row).map(({ step }) => step)).toEqual([0, 2, 4]);
  });
});
