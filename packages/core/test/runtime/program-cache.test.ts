/** What programs compute from their weights, kept in a folder: same results, nothing stale, nothing damaged. */
import { readdir, readFile, rm, stat, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { relativeError } from "@dcae/test-support/compare";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSafetensorsFile, writeSafetensorsFile } from "../../src/checkpoint/safetensors/file.node.js";
import { tensorEntries } from "../../src/checkpoint/safetensors/writer.js";
import type { Weights } from "../../src/checkpoint/weights.js";
import { ConfigError, DataError } from "../../src/errors.js";
import * as g from "../../src/graph/index.js";
import { createEngine, type Engine } from "../../src/runtime/index.js";

const folder = temporaryFolder();
const cache = join(folder, "cache");
const checkpoint = join(folder, "model.safetensors");
const CHANNELS = 256;

/** A convolution that takes Winograd's form. */
function program(size = 32): g.Program {
  const w = g.createScope().parameter("w", [CHANNELS, CHANNELS, 3, 3]);
  return g.createProgram("conv", { y: g.conv2d(g.input("x", [1, CHANNELS, size, size]), w, { padding: 1 }) });
}

function random(shape: readonly number[], seed: number): g.Tensor<"float32"> {
  const data = new Float32Array(g.sizeOf(shape));
  g.createRandom(BigInt(seed), "x").normal(data);
  return g.Tensor.float32(data, shape) as g.Tensor<"float32">;
}

async function writeCheckpoint(seed: number, dtype: g.DType = "float32"): Promise<void> {
  const w = random([CHANNELS, CHANNELS, 3, 3], seed).cast(dtype);
  await writeSafetensorsFile(checkpoint, tensorEntries([["w", w]]));
}

const x = random([1, CHANNELS, 32, 32], 1);

/** The result of an engine with the folder, in a new process's place. */
async function run(options: { readonly cached: boolean; readonly optimize?: boolean }): Promise<g.Tensor> {
  const { cached, optimize = true } = options;
  const engine = await createEngine({
    device: "cpu",
    threads: 1,
    optimize,
    ...(cached ? { programCache: cache } : {}),
  });
  const weights = await openSafetensorsFile(checkpoint);
  const loaded = await engine.load(program(), weights);
  const { y } = await loaded.run({ x });
  await engine.dispose();
  await weights.close();
  return y as g.Tensor;
}

const results = async () => (await readdir(cache)).filter((name) => /^[0-9a-f]{64}$/.test(name)).sort();
const states = async () =>
  Promise.all(
    (await results()).map(async (name) => `${name} ${(await stat(join(cache, name), { bigint: true })).ino}`),
  );

beforeAll(() => writeCheckpoint(2));

test("rewritten programs give the same result, computed, kept and found again", async () => {
  const expected = await run({ cached: false });
  expect(relativeError(await run({ cached: true }), expected)).toBe(0);
  const made = await states();
  expect(made.length).toBe(1);
  expect(relativeError(await run({ cached: true }), expected)).toBe(0);
  expect(await states()).toEqual(made);
  expect((await readdir(cache)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
});

test("another checkpoint under the same name, size and modification time gets its own", async () => {
  const { mtime, atime, size } = await stat(checkpoint);
  await writeCheckpoint(3);
  await utimes(checkpoint, atime, mtime);
  expect((await stat(checkpoint)).size).toBe(size);
  const expected = await run({ cached: false });
  expect(relativeError(await run({ cached: true }), expected)).toBe(0);
  expect((await results()).length).toBe(2);
});

describe("damaged files are made again", () => {
  const damages: Record<string, (path: string) => Promise<void>> = {
    "cut short": (path) => truncate(path, 1000),
    missing: (path) => rm(path),
    "one byte is another": async (path) => {
      const bytes = await readFile(path);
      bytes[500] = (bytes[500] as number) ^ 1;
      await writeFile(path, bytes);
    },
    "exchanged for another of its size": async (path) => {
      const size = (await stat(path)).size;
      await writeFile(path, Buffer.alloc(size));
    },
  };
  test.each(Object.entries(damages))("%s", async (_, damage) => {
    const expected = await run({ cached: false });
    await run({ cached: true });
    for (const name of await results()) await damage(join(cache, name));
    expect(relativeError(await run({ cached: true }), expected)).toBe(0);
    for (const name of await results()) {
      const bytes = await readFile(join(cache, name));
      expect(bytes.equals(Buffer.alloc(bytes.length))).toBe(false);
    }
  });

  test("notes about files", async () => {
    const expected = await run({ cached: true });
    await writeFile(join(cache, "files.json"), "{ broken");
    expect(relativeError(await run({ cached: true }), expected)).toBe(0);
    await writeFile(join(cache, "files.json"), JSON.stringify({ [checkpoint]: 3 }));
    expect(relativeError(await run({ cached: true }), expected)).toBe(0);
  });
});

test("plain programs take weights from the checkpoint, and keep those that are in another dtype", async () => {
  await rm(cache, { recursive: true });
  await writeCheckpoint(4);
  await run({ cached: true, optimize: false });
  expect(await results()).toEqual([]);
  await writeCheckpoint(4, "float16");
  const expected = await run({ cached: false, optimize: false });
  expect(relativeError(await run({ cached: true, optimize: false }), expected)).toBe(0);
  expect((await results()).length).toBe(1);
});

test("weights in memory are known by their content", async () => {
  await rm(cache, { recursive: true });
  const engine: Engine = await createEngine({ device: "cpu", threads: 1, optimize: true, programCache: cache });
  async function load(seed: number): Promise<void> {
    const w = random([CHANNELS, CHANNELS, 3, 3], seed);
    const entry = { name: "w", dtype: w.dtype, shape: w.shape, read: async () => w } as const;
    const weights: Weights = { source: "memory", entries: new Map([["w", entry]]), close: async () => {} };
    await (await engine.load(program(), weights)).dispose();
  }
  await load(1);
  await load(1);
  expect((await results()).length).toBe(1);
  await load(2);
  expect((await results()).length).toBe(2);
  await engine.dispose();
});

describe("refuses", () => {
  afterAll(() => rm(join(folder, "file"), { force: true }));

  test("a place that is no folder", async () => {
    await writeFile(join(folder, "file"), "");
    const attempt = createEngine({ device: "cpu", programCache: join(folder, "file") });
    await expect(attempt).rejects.toThrow(DataError);
  });

  test("packed weights of programs that are rewritten", async () => {
    await expect(createEngine({ device: "cpu", optimize: true, form: { kind: "fast" } })).rejects.toThrow(ConfigError);
  });
});
