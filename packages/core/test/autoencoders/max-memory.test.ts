/** The option maxMemory of the model: batches, equality, refusal. */
import { execFile } from "node:child_process";
import { copyFile, mkdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AutoencoderDCModel, buildDecodeProgram, buildEncodeProgram } from "../../src/autoencoders/index.js";
import { ConfigError } from "../../src/errors.js";
import { createRandom, Tensor } from "../../src/graph/index.js";
import { createEngine, type Engine } from "../../src/runtime/index.js";
import { relativeError } from "../support/compare.js";
import { errorOf } from "../support/error-of.js";
import { randomWeights } from "../support/random-weights.js";
import { tinyF32 } from "../support/tiny-config.js";

let engine: Engine;
let model: AutoencoderDCModel;
const config = tinyF32;
const picture = [2, 3, 2048, 1536];

beforeAll(async () => {
  engine = await createEngine({ device: "cpu", threads: 1 });
  const programs = [buildEncodeProgram(config, picture), buildDecodeProgram(config, [2, 2, 64, 48])];
  const parameters = new Map(programs.flatMap((program) => [...program.parameters]));
  const weights = randomWeights({ parameters }, 23);
  model = new AutoencoderDCModel({ name: "tiny", config, weights, engine, scalingFactor: null });
});
afterAll(() => model.dispose());

function random(shape: readonly number[]): Tensor {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  createRandom(9, "x").normal(data);
  return Tensor.float32(data, shape);
}

/** A limit that a whole picture exceeds and tiles keep. */
function tightLimit(part: "encode" | "decode", shape: readonly number[]): number {
  const whole = model.planMemory(part, shape, { maxMemory: 64e9 }).bytes;
  const refused = errorOf(ConfigError, () => model.planMemory(part, shape, { maxMemory: 1 }));
  const least = Number(/at least (\d+) MB/.exec(refused.message)?.[1]) * 1e6;
  const limit = least + 0.1 * (whole - least);
  expect(model.planMemory(part, shape, { maxMemory: limit }).tiles).toBeGreaterThan(1);
  return limit;
}

test("encode and decode under a limit give the same as without", async () => {
  const x = random(picture);
  const latent = await model.encode(x);
  const maxMemory = tightLimit("encode", picture);
  expect(relativeError(await model.encode(x, { maxMemory }), latent)).toBeLessThanOrEqual(1e-5);
  const decodeLimit = tightLimit("decode", latent.shape);
  const bounded = await model.decode(latent, { maxMemory: decodeLimit });
  expect(relativeError(bounded, await model.decode(latent))).toBeLessThanOrEqual(1e-5);
});

test("refuses what can't fit, and options that contradict", async () => {
  const x = random(picture);
  await expect(model.encode(x, { maxMemory: 1e8 })).rejects.toThrow(/1536x2048 pixels needs at least \d+ MB/);
  await expect(model.encode(x, { maxMemory: -1 })).rejects.toThrow(/positive/);
  const tiling = { tile: [512, 512], stride: [448, 448] } as const;
  await expect(model.encode(x, { maxMemory: 1e10, tiling })).rejects.toThrow(/tiling/);
});

describe.runIf(process.platform === "linux")("peak resident memory of a process", () => {
  // Inside the package, so that the bundle finds the runtime beside it.
  const folder = fileURLToPath(new URL("../../node_modules/.peak-memory/", import.meta.url));
  const child = `${folder}child.mjs`;
  beforeAll(async () => {
    await mkdir(folder, { recursive: true });
    await build({
      entryPoints: [fileURLToPath(new URL("../support/peak-memory-child.ts", import.meta.url))],
      outfile: child,
      bundle: true,
      platform: "node",
      format: "esm",
      packages: "external",
    });
    await copyFile(new URL("../../src/runtime/onnx-worker.mjs", import.meta.url), `${folder}onnx-worker.mjs`);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const cache = `${folder}cache`;
  async function measure(part: string, form: string, [width, height]: readonly number[], limit: number | "none") {
    const args = [child, part, form, String(width), String(height), String(limit)];
    const env = { ...process.env, PROGRAM_CACHE: cache };
    const { stdout } = await promisify(execFile)(process.execPath, args, { env });
    return JSON.parse(stdout) as { peak: number; predicted: number; tiles: number };
  }
  const cases = ["mapped", "packed", "optimized", "kept"].flatMap((form) => [
    ["encode", form],
    ["decode", form],
  ]) as [string, string][];

  test.each(cases)(
    "%s, %s: memory is as predicted, and the limit is kept where the whole picture exceeds it",
    { timeout: 240_000 },
    async (part, form) => {
      const size = [3072, 2048];
      // Garbage collection and the C library vary a peak by up to a tenth from run to run.
      const runs: Awaited<ReturnType<typeof measure>>[] = [];
      for (let i = 0; i < 3; i++) runs.push(await measure(part, form, size, "none"));
      const whole = runs.sort((a, b) => a.peak - b.peak)[1] as (typeof runs)[number];
      expect(Math.abs(whole.predicted / whole.peak - 1)).toBeLessThanOrEqual(0.15);
      const limit = Math.round(whole.peak * 0.85);
      const tiled = await measure(part, form, size, limit);
      expect(tiled.tiles).toBeGreaterThan(1);
      expect(tiled.peak).toBeLessThanOrEqual(limit);
    },
  );
});
