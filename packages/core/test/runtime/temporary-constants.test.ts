/** Transformed weights pass through temporary files, and nothing of them stays. */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { relativeError } from "@dcae/test-support/compare";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSafetensorsFile, writeSafetensorsFile } from "../../src/checkpoint/safetensors/file.node.js";
import { tensorEntries } from "../../src/checkpoint/safetensors/writer.js";
import type { WeightEntry, Weights } from "../../src/checkpoint/weights.js";
import { CheckpointError, DataError } from "../../src/errors.js";
import * as g from "../../src/graph/index.js";
import { createEngine, type Engine } from "../../src/runtime/index.js";
import { randomWeights } from "../support/random-weights.js";

const folder = join(temporaryFolder(), "tmp");
const before = process.env.TMPDIR;
let engine: Engine;

beforeEach(async () => {
  await mkdir(folder, { recursive: true });
  process.env.TMPDIR = folder;
  engine = await createEngine({ device: "cpu", threads: 1, optimize: true });
});
afterEach(async () => {
  await engine.dispose();
  if (before === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = before;
});

/** The runtime has files of its own there. */
const ours = async () => (await readdir(folder)).filter((name) => name.startsWith("dcae-"));

/** A convolution that takes Winograd's form. */
function program(channels: number): g.Program {
  const w = g.createScope().parameter("w", [channels, channels, 3, 3]);
  return g.createProgram("conv", { y: g.conv2d(g.input("x", [1, channels, 32, 32]), w, { padding: 1 }) });
}

function picture(channels: number): g.Tensor {
  const data = new Float32Array(channels * 32 * 32);
  g.createRandom(1n, "x").normal(data);
  return g.Tensor.float32(data, [1, channels, 32, 32]);
}

// Windows keeps files that are mapped.
test.runIf(process.platform !== "win32")("a loaded program needs no file any more", async () => {
  const weights = randomWeights(program(256), 7);
  const loaded = await engine.load(program(256), weights);
  expect(await ours()).toEqual([]);
  const plain = await createEngine({ device: "cpu", threads: 1, optimize: false });
  const expected = await (await plain.load(program(256), weights)).run({ x: picture(256) });
  await plain.dispose();
  const { y } = await loaded.run({ x: picture(256) });
  expect(relativeError(y as g.Tensor, expected.y as g.Tensor)).toBeLessThanOrEqual(2e-5);
});

test("nothing stays after a program is disposed, or fails to load", async () => {
  await (await engine.load(program(256), randomWeights(program(256), 7))).dispose();
  expect(await ours()).toEqual([]);
  const two = g.createScope();
  const [w, v] = ["w", "v"].map((name) => two.parameter(name, [256, 256, 3, 3])) as [g.Value, g.Value];
  const x = g.input("x", [1, 256, 32, 32]);
  const y = g.conv2d(g.conv2d(x, w, { padding: 1 }), v, { padding: 1 });
  await expect(engine.load(g.createProgram("two", { y }), randomWeights(program(256), 7))).rejects.toThrow(
    CheckpointError,
  );
  expect(await ours()).toEqual([]);
});

test("convolutions of one size share a session, and have their own weights", async () => {
  const scope = g.createScope();
  const names = ["w", "v", "u"];
  const layers = names.map((name) => scope.parameter(name, [256, 256, 3, 3]));
  const y = layers.reduce(
    (x: g.Value, w) => g.mul(g.conv2d(x, w, { padding: 1 }), 0.02),
    g.input("x", [1, 256, 32, 32]),
  );
  const several = g.createProgram("several", { y });
  const stored = randomWeights(several, 11);
  const path = join(folder, "model.safetensors");
  const tensors = await Promise.all(names.map(async (name) => [name, await entryOf(stored, name)] as const));
  await writeSafetensorsFile(path, tensorEntries(tensors));
  const weights = await openSafetensorsFile(path);
  const plain = await createEngine({ device: "cpu", threads: 1, optimize: false });
  try {
    const results: g.Tensor[] = [];
    for (const each of [plain, engine]) {
      const loaded = await each.load(several, weights);
      results.push((await loaded.run({ x: picture(256) })).y as g.Tensor);
    }
    expect(relativeError(results[1] as g.Tensor, results[0] as g.Tensor)).toBeLessThanOrEqual(1e-4);
  } finally {
    await plain.dispose();
    await weights.close();
  }
});

const entryOf = (weights: Weights, name: string) => (weights.entries.get(name) as WeightEntry).read();

test("without the folder, large programs say what to do and small ones load", async () => {
  await rm(folder, { recursive: true });
  const failed = engine.load(program(256), randomWeights(program(256), 7));
  await expect(failed).rejects.toThrow(DataError);
  await expect(failed).rejects.toMatchObject({ hint: expect.stringContaining("TMPDIR") });
  const loaded = await engine.load(program(32), randomWeights(program(32), 7));
  await loaded.run({ x: picture(32) });
});
