/** Stopping, resuming and divergence: what a run leaves, and with which bits it goes on. */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { useEngine } from "@dcae/test-support/engine";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { describe, expect, test } from "vitest";
import type { TrainingConfig, TrainingPhase } from "../../src/configs/schema.js";
import { readMetrics } from "../../src/logging/metrics-log.js";
import { lastLayerName } from "../../src/phases/phase-parameters.js";
import { openCheckpointFolder } from "../../src/trainer/checkpoint.js";
import { describeModel } from "../../src/trainer/phase-start.js";
import type { TrainAutoencoderOptions } from "../../src/trainer/train-autoencoder.js";
import { stopSignals, TrainingError } from "../../src/trainer/training-run.js";
import { TINY_EVERYTHING, TINY_PHASES, tinyTraining } from "../support/tiny-training.js";
import { hashFile, statePath, tensorBytes, train } from "../support/train.js";

const folder = temporaryFolder();
const engine = useEngine();

const begin = (name: string, config?: TrainingConfig, more?: Partial<TrainAutoencoderOptions>) =>
  train(engine, join(folder, name), config, more);

describe("stopping and resuming", () => {
  const phases = [
    { ...TINY_PHASES.one, steps: 8 },
    { ...TINY_PHASES.three, steps: 4 },
  ];

  /** Trains in one go, and stopped again and again; everything that both leave must be the same. */
  async function compare(trained: readonly TrainingPhase[], wholeName: string, stoppedName: string) {
    const whole = await begin(wholeName, tinyTraining(trained));
    for (let stops = 0; ; stops++) {
      expect(stops).toBeLessThan(20);
      const controller = new AbortController();
      let updates = 0;
      const progress = () => ({
        show: () => ++updates === (stops % 3) + 1 && controller.abort(),
        clear: () => undefined,
      });
      const { results } = await begin(stoppedName, tinyTraining(trained), { signal: controller.signal, progress });
      const last = results.at(-1)!;
      if (last.phase === trained.at(-1)!.name && last.status === "finished") break;
      if (last.status === "stopped") expect(last.checkpoint).toContain(`step-${String(last.step).padStart(8, "0")}`);
    }
    for (const [i, { phase, directory }] of whole.results.entries()) {
      const other = join(folder, stoppedName, phase);
      expect(await hashFile(statePath(other, trained[i]!.steps))).toBe(
        await hashFile(statePath(directory, trained[i]!.steps)),
      );
      expect(await hashFile(join(other, "best", "model.safetensors"))).toBe(
        await hashFile(join(directory, "best", "model.safetensors")),
      );
      const clean = async (path: string) =>
        (await readMetrics(join(path, "metrics.jsonl"))).map(
          ({ time, images_per_second, waiting_for_data, ...row }) => row,
        );
      expect(await clean(other)).toEqual(await clean(directory));
    }
  }

  test("ends with the same bits as a run that was never stopped", () =>
    compare(tinyTraining(phases).phases, "uninterrupted", "interrupted"));

  test("ends with the same bits with everything switched on", async () => {
    await compare(tinyTraining([TINY_EVERYTHING]).phases, "everything", "everything-stopped");
    const run = join(folder, "everything", "everything");
    const state = await tensorBytes(statePath(run, TINY_EVERYTHING.steps));
    // Each optimizer keeps moments of its own parameters, and each average goes on as a model of its own.
    const name = lastLayerName(describeModel(tinyTraining()).config);
    expect([state.has(`lion.autoencoder-head.m.${name}`), state.has(`adamw.autoencoder.m.${name}`)]).toEqual([
      true,
      false,
    ]);
    expect([...state.keys()].filter((key) => key.startsWith("came.discriminator-norms.")).length).toBeGreaterThan(0);
    for (const [folderName, key] of Object.entries({
      model: name,
      "model-ema": `ema.0.9.${name}`,
      "model-ema-0.5": `ema.0.5.${name}`,
    })) {
      const model = await tensorBytes(join(run, folderName, "model.safetensors"));
      expect(model.get(name), folderName).toEqual(state.get(key));
    }
    expect(state.get(`ema.0.9.${name}`)).not.toEqual(state.get(`ema.0.5.${name}`));
    // Rates and norms of each.
    const rows = await readMetrics(join(run, "metrics.jsonl"));
    const metrics = ["learning_rate_head", "gradient_norm_head", "d_learning_rate_norms"];
    expect(rows.at(-2)).toEqual(
      expect.objectContaining(Object.fromEntries(metrics.map((key) => [key, expect.any(Number)]))),
    );
  });

  test("other settings, other data and other frozen weights are refused, more updates aren't", async () => {
    const changed = (phase: object, more = {}) => tinyTraining([{ ...phases[0]!, ...phase }], more);
    await expect(begin("uninterrupted", changed({ steps: 9, l1Weight: 2 }))).rejects.toThrow(
      /other settings: l1Weight/,
    );
    await expect(begin("uninterrupted", changed({ steps: 9 }, { seed: 3 }))).rejects.toThrow(/other settings: seed/);
    const data = { sources: [{ kind: "scenes", count: 10 }], workers: 0, flip: true };
    await expect(begin("uninterrupted", changed({ steps: 9 }, { data }))).rejects.toThrow(/scenes changed since/);
    const longer = await begin("uninterrupted", changed({ steps: 9 }));
    expect(longer.results[0]).toMatchObject({ status: "finished", step: 9 });
    expect(longer.messages.some((text) => text.includes("resuming after update 8 of 9"))).toBe(true);
    const two = [phases[0]!, { ...TINY_PHASES.two, steps: 2 }];
    await begin("frozen", tinyTraining(two));
    await rm(join(folder, "frozen", "phase1"), { recursive: true });
    await begin("frozen", tinyTraining(two, { seed: 1 }), { phases: ["phase1"] });
    await expect(
      begin("frozen", tinyTraining([two[0]!, { ...two[1]!, steps: 3 }]), { phases: ["phase2"] }),
    ).rejects.toThrow(/weights that don't train differ/);
  });

  test("a schedule goes on with the run, or ends where it says and stays there", async () => {
    const rates = async (name: string) => {
      const rows = await readMetrics(join(folder, name, "phase1", "metrics.jsonl"));
      return rows.flatMap((row) => ("learning_rate" in row ? [row.learning_rate as number] : []));
    };
    const cosine = (steps: number, length: object) =>
      tinyTraining([
        { ...TINY_PHASES.one, steps, optimizer: { schedule: { kind: "cosine", lr: 1e-3, ...length } as never } },
      ]);
    const at = (step: number, length: number) =>
      Number(Math.fround(0.5e-3 * (1 + Math.cos((Math.PI * step) / length))));
    const close = (found: readonly number[], expected: readonly number[]) => {
      expect(found.length).toBe(expected.length);
      found.forEach((rate, i) => void expect(rate).toBeCloseTo(expected[i]!, 9));
    };
    // One that follows the run, and one that says its end.
    await begin("follows", cosine(2, {}));
    await begin("follows", cosine(4, {}));
    close(await rates("follows"), [at(0, 2), at(1, 2), at(2, 4), at(3, 4)]);
    await begin("ends", cosine(2, { maxSteps: 2 }));
    await begin("ends", cosine(4, { maxSteps: 2 }));
    close(await rates("ends"), [at(0, 2), at(1, 2), 0, 0]);
    await begin("ends", cosine(6, { maxSteps: 6 }));
    close((await rates("ends")).slice(4), [at(4, 6), at(5, 6)]);
  });

  test("a run of an earlier version, which knew fewer settings, goes on", async () => {
    const gan = (factor: number, steps: number) =>
      tinyTraining([{ ...TINY_PHASES.three, steps, gan: { ...TINY_PHASES.three.gan, factor } }]);
    const { results } = await begin("earlier", gan(1, 1));
    const path = join(results[0]!.checkpoint!, "checkpoint.json");
    const notes = JSON.parse(await readFile(path, "utf8"));
    delete notes.identity.gan.factor;
    await writeFile(path, JSON.stringify(notes));
    await expect(begin("earlier", gan(0.5, 2))).rejects.toThrow(/other settings: gan/);
    expect((await begin("earlier", gan(1, 2))).results[0]?.step).toBe(2);
  });

  test("an earlier version kept a PSNR with a minus: the best evaluation of its run stays the best", async () => {
    const byPsnr = (steps: number) =>
      tinyTraining([{ ...TINY_PHASES.one, steps, evaluateEvery: 1, checkpointEvery: 1, best: "psnr" }]);
    const { results } = await begin("minus", byPsnr(1));
    const path = join(results[0]!.checkpoint!, "checkpoint.json");
    const notes = JSON.parse(await readFile(path, "utf8"));
    expect(notes.best.metric).toBe("psnr");
    notes.best = { step: 1, score: -99 };
    await writeFile(path, JSON.stringify(notes));
    expect((await begin("minus", byPsnr(2))).results[0]!.best).toEqual({ step: 1, score: -99 });
  });

  test("a damaged checkpoint is named, and what a killed process left is removed", async () => {
    const { directory } = await begin("damaged", tinyTraining([{ ...phases[0]!, steps: 4 }]));
    const checkpoints = join(directory, "phase1", "checkpoints");
    await mkdir(join(checkpoints, ".step-00000006.01234567-1-1-0123456789ab.tmp"));
    await writeFile(join(checkpoints, "step-00000004", "checkpoint.json"), "{");
    await expect(begin("damaged", tinyTraining([{ ...phases[0]!, steps: 5 }]))).rejects.toThrow(
      /step-00000004: not a usable/,
    );
    expect(await readdir(checkpoints)).toEqual(["step-00000002", "step-00000004"]);
    await rm(join(checkpoints, "step-00000004"), { recursive: true });
    const { results } = await begin("damaged", tinyTraining([{ ...phases[0]!, steps: 5 }]));
    expect(results[0]?.step).toBe(5);
  });

  test("two processes don't share a run", async () => {
    await mkdir(join(folder, "locked", "phase1"), { recursive: true });
    const lock = join(folder, "locked", "phase1", "run.lock");
    await writeFile(lock, JSON.stringify({ pid: process.pid, host: hostname(), started: null }));
    await expect(begin("locked", tinyTraining(phases))).rejects.toThrow(/process \d+ on .* is training in this folder/);
    // The same process number, but of a process that started at another time.
    await writeFile(lock, JSON.stringify({ pid: process.pid, host: hostname(), started: "1" }));
    if (process.platform === "linux") await begin("locked", tinyTraining([{ ...phases[0]!, steps: 1 }]));
  });
});

test("a run that diverges names the update and the last good checkpoint, and leaves it alone", async () => {
  const schedule = { kind: "constant" as const, lr: 1e30 };
  const good = { ...TINY_PHASES.one, checkpointEvery: 2, evaluateEvery: 100, ema: null };
  const start = await begin("good", tinyTraining([{ ...good, steps: 2 }]));
  const before = await hashFile(statePath(join(start.directory, "phase1"), 2));
  // The same run with a learning rate that no model survives.
  const path = join(start.directory, "phase1", "checkpoints", "step-00000002", "checkpoint.json");
  const notes = JSON.parse(await readFile(path, "utf8"));
  notes.identity.optimizer.schedule = schedule;
  await writeFile(path, JSON.stringify(notes));
  const bad = tinyTraining([{ ...good, steps: 50, optimizer: { schedule, clipNorm: 1 } }]);
  const error = await begin("good", bad).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(TrainingError);
  expect((error as TrainingError).message).toMatch(
    /diverged at update \d+: .* the last good checkpoint: .*step-00000002$/,
  );
  expect((error as TrainingError).step).toBeLessThan(8);
  expect(await readdir(join(start.directory, "phase1", "checkpoints"))).toEqual(["step-00000002"]);
  expect(await hashFile(statePath(join(start.directory, "phase1"), 2))).toBe(before);
});

test("checkpoints say what a run needs to go on", async () => {
  const { results } = await begin("notes", tinyTraining([{ ...TINY_PHASES.one, steps: 2 }]));
  const { notes, state } = await openCheckpointFolder(results[0]!.checkpoint!);
  expect(notes).toMatchObject({ version: 1, step: 2, position: { samples: 4, corrupt: [] } });
  expect([...state.entries.keys()].filter((name) => name.startsWith("ema.0.9.")).length).toBeGreaterThan(5);
  await state.close();
});

test("a terminal that closes asks to stop, as SIGTERM does", () => {
  const { signal, dispose } = stopSignals();
  process.emit("SIGHUP", "SIGHUP");
  expect([signal.aborted, signal.reason]).toEqual([true, "SIGHUP"]);
  dispose();
});

test("the first signal asks to stop, the second isn't held back", () => {
  const heard: string[] = [];
  const { signal, dispose } = stopSignals((name) => heard.push(name));
  const before = process.listenerCount("SIGTERM");
  process.emit("SIGTERM", "SIGTERM");
  expect([signal.aborted, heard]).toEqual([true, ["SIGTERM"]]);
  expect(process.listenerCount("SIGTERM")).toBe(before - 1);
  dispose();
});
