/** Whole trainings by ranks in one process: the run of one rank, resumed by another number of them; what goes wrong on one rank. */
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Communicator } from "@dcae/core/internal";
import { useEngine } from "@dcae/test-support/engine";
import { onRanks } from "@dcae/test-support/ranks";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test } from "vitest";
import type { TrainingConfig } from "../../src/configs/schema.js";
import { readMetrics } from "../../src/logging/metrics-log.js";
import type { ProgressState } from "../../src/logging/progress.js";
import { trainAutoencoder } from "../../src/trainer/train-autoencoder.js";
import { TINY_PHASES, tinyTraining } from "../support/tiny-training.js";
import { difference, hashFile, statePath } from "../support/train.js";

const folder = temporaryFolder();
const engine = useEngine();

const optimizer = { schedule: { kind: "constant" as const, lr: 5e-4 }, clipNorm: 1, eps: 1e-3 };
const shape = { size: 16, batch: 4, steps: 4, checkpointEvery: 2, evaluateEvery: 2, optimizer } as const;
const { one, three } = TINY_PHASES;
const config = tinyTraining([
  { ...one, ...shape },
  { ...three, ...shape, gan: { ...three.gan, layers: 1, augment: ["translation"], optimizer } },
]);

async function trainBy(
  count: number,
  name: string,
  more: { config?: (ranks: Communicator) => TrainingConfig; stopAfter?: number } = {},
) {
  const directory = join(folder, name);
  return onRanks(count, async (ranks) => {
    const controller = new AbortController();
    const messages: string[] = [];
    // Only one rank hears of the signal.
    const progress = () => ({
      show: ({ step }: ProgressState) => step === more.stopAfter && controller.abort(),
      clear: () => undefined,
    });
    const results = await trainAutoencoder({
      config: more.config?.(ranks) ?? config,
      directory,
      engine,
      ranks,
      signal: controller.signal,
      progress,
      onMessage: (text) => messages.push(text),
    });
    return { results, messages };
  });
}

test("two ranks leave the run that one leaves; runs go on with other numbers of ranks", async () => {
  await trainBy(1, "one");
  const [first, second] = await trainBy(2, "two");
  expect(first?.results.map(({ status, step }) => [status, step])).toEqual([
    ["finished", 4],
    ["finished", 4],
  ]);
  expect(second?.results.map(({ metrics }) => metrics)).toEqual(first?.results.map(({ metrics }) => metrics));
  for (const { name } of config.phases) {
    const [one, two] = ["one", "two"].map((run) => join(folder, run, name));
    expect((await readdir(two!)).sort()).toEqual((await readdir(one!)).sort());
    expect(await difference(statePath(one!, 4), statePath(two!, 4))).toBeLessThanOrEqual(1e-6);
    const [rows, theirs] = [
      await readMetrics(join(one!, "metrics.jsonl")),
      await readMetrics(join(two!, "metrics.jsonl")),
    ];
    expect(theirs.map(({ step }) => step)).toEqual(rows.map(({ step }) => step));
  }
  await trainBy(2, "again");
  for (const { name } of config.phases) {
    expect(await hashFile(statePath(join(folder, "again", name), 4))).toBe(
      await hashFile(statePath(join(folder, "two", name), 4)),
    );
  }
  const stopped = await trainBy(4, "resumed", { stopAfter: 1 });
  expect(stopped.map(({ results }) => results.at(-1)?.status)).toEqual(Array(4).fill("stopped"));
  const [resumed] = await trainBy(2, "resumed");
  expect(resumed?.messages.join("\n")).toMatch(/resuming after update 1 of 4.*4 ranks, now by .*2 ranks/s);
  for (const { name } of config.phases) {
    expect(
      await difference(statePath(join(folder, "one", name), 4), statePath(join(folder, "resumed", name), 4)),
    ).toBeLessThanOrEqual(1e-6);
  }
});

test("what differs between ranks, and what goes wrong on one, is one error on all", async () => {
  const [phase] = config.phases;
  const failure = async (name: string, of: (rank: number) => TrainingConfig) => {
    const errors = await onRanks(2, async (ranks) =>
      trainAutoencoder({ config: of(ranks.rank), directory: join(folder, name), engine, ranks }).then(
        () => "no error",
        (error: Error) => error.message,
      ),
    );
    expect(errors[1]).toBe(errors[0]);
    return errors[0];
  };
  const short = (more: object, rest: object = {}) => tinyTraining([{ ...one, ...shape, steps: 1, ...more }], rest);
  expect(await failure("batch", () => short({ batch: 3 }))).toBe("phase1: a batch of 3 can't be divided among 2 ranks");
  expect(await failure("seed", (rank) => short({}, { seed: rank }))).toMatch(
    /^rank 1: has another settings than rank 0/,
  );
  const scenes = (count: number) => ({ data: { sources: [{ kind: "scenes" as const, count }], workers: 0 } });
  expect(await failure("data", (rank) => short({}, scenes(9 + rank)))).toMatch(/^rank 1: has another data than rank 0/);
  await mkdir(join(folder, "none"));
  const missing = { data: { sources: [{ kind: "folder" as const, path: join(folder, "none") }], workers: 0 } };
  expect(await failure("missing", (rank) => short({}, rank === 0 ? scenes(9) : missing))).toMatch(/^rank 1: .*none/);
  expect(phase?.name).toBe("phase1");
});

test("numbers that aren't finite on every rank name none", async () => {
  const diverging = tinyTraining([
    { ...one, ...shape, optimizer: { schedule: { kind: "constant", lr: 3e38 }, clipNorm: 1 } },
  ]);
  const errors = await onRanks(2, (ranks) =>
    trainAutoencoder({ config: diverging, directory: join(folder, "nan"), engine, ranks }).then(
      () => "no error",
      (error: Error) => error.message,
    ),
  );
  expect(errors[0]).toMatch(/^training diverged at update \d: \w+ is (NaN|-?Infinity); the last good checkpoint/);
  expect(errors[1]).toBe(errors[0]);
});
