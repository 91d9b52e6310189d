/** The option maxMemory of the model: batches, equality, refusal. */
import { relativeError } from "@dcae/test-support/compare";
import { onRanks } from "@dcae/test-support/ranks";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createBoundedRuns, type ModelPart } from "../../src/autoencoders/exact-tiling.js";
import { ConfigError } from "../../src/errors.js";
import { createRandom, Tensor } from "../../src/graph/index.js";
import {
  Autoencoder,
  AutoencoderDC,
  buildDecodeProgram,
  buildEncodeProgram,
  bundledModelPath,
} from "../../src/internal/index.js";
import { createEngine, type Engine, type OnnxEngine } from "../../src/runtime/index.js";
import { MEMORY_MARGIN } from "../../src/runtime/program-memory.js";
import { errorOf } from "../support/error-of.js";
import { randomWeights } from "../support/random-weights.js";
import { tinyF32 } from "../support/tiny-config.js";

let plain: OnnxEngine;
let engine: Engine;
let model: Autoencoder<"dc-ae">;
const config = tinyF32;
const picture = [2, 3, 128, 96];

/** As if values took a thousand times the memory: small pictures need tiles. */
function greedy(from: OnnxEngine): Engine {
  return {
    name: from.name,
    device: from.device,
    predictMemory: (program) => 1000 * from.predictMemory(program),
    load: (program, weights) => from.load(program, weights),
    createState: (initial) => from.createState(initial),
    dispose: () => from.dispose(),
  };
}

beforeAll(async () => {
  plain = await createEngine({ device: "cpu", threads: 1 });
  engine = greedy(plain);
  const programs = [
    buildEncodeProgram({ kind: "dc-ae", config }, picture),
    buildDecodeProgram({ kind: "dc-ae", config }, [2, 2, 4, 3]),
  ];
  const parameters = new Map(programs.flatMap((program) => [...program.parameters]));
  const weights = randomWeights({ parameters }, 23);
  model = new Autoencoder({
    name: "tiny",
    description: { kind: "dc-ae", config, scalingFactor: null, shiftFactor: null },
    weights,
    engine,
  });
});
afterAll(() => model.dispose());

function random(shape: readonly number[]): Tensor {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  createRandom(9, "x").normal(data);
  return Tensor.float32(data, shape);
}

/** A limit that a whole picture exceeds and tiles keep. */
function tightLimit(part: "encode" | "decode", shape: readonly number[]): number {
  const whole = model.planMemory(part, shape, { maxMemory: 1e15 }).bytes;
  const refused = errorOf(ConfigError, () => model.planMemory(part, shape, { maxMemory: 1 }));
  const least = Number(/at least (\d+) MB/.exec(refused.message)?.[1]) * 1e6;
  const limit = least + 0.3 * (whole - least);
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

test.each(["encode", "decode"] as const)("%s: one picture, then a batch under the same limit", async (part) => {
  const runs = createBoundedRuns(engine, model.weights);
  const modelPart: ModelPart =
    part === "encode"
      ? { label: part, input: "x", build: (shape) => buildEncodeProgram({ kind: "dc-ae", config }, shape) }
      : { label: part, input: "latent", build: (shape) => buildDecodeProgram({ kind: "dc-ae", config }, shape) };
  const shape = (part === "encode" ? [3, 256, 128] : [2, 8, 4]) as [number, number, number];
  const [one, both] = [random([1, ...shape]), random([2, ...shape])];
  const plan = (x: Tensor, maxMemory: number) => runs.plan(x.shape, modelPart, { maxMemory });
  // One picture runs whole, one of a batch in part: both know a program "whole", and not the same.
  const maxMemory = (MEMORY_MARGIN * (plan(one, 1e15).bytes + plan(both, 1e15).bytes)) / 2;
  expect(plan(one, maxMemory).tiled).toBe("whole");
  expect(plan(both, maxMemory)).toMatchObject({ tiled: part === "encode" ? "first" : "last", whole: { name: part } });
  for (const x of [one, both, one]) {
    const bounded = await runs.run(x, modelPart, { maxMemory });
    expect(relativeError(bounded, await model[part](x))).toBeLessThanOrEqual(1e-5);
  }
  await runs.dispose();
});

test("the limit that a refusal names would do, and so would a higher one", async () => {
  const small = await AutoencoderDC.fromPretrained(bundledModelPath(), { device: "cpu", threads: 1 });
  const shapes = { encode: [1, 3, 1024, 1024], decode: [1, 32, 32, 32] };
  for (const part of ["encode", "decode"] as const) {
    const plan = (maxMemory: number) => small.planMemory(part, shapes[part], { maxMemory });
    const least = Number(/at least (\d+) MB/.exec(errorOf(ConfigError, () => plan(1e6)).message)?.[1]);
    for (const more of [0, 40]) {
      const maxMemory = 1e6 * (least + more);
      expect(plan(maxMemory).bytes).toBeLessThanOrEqual(maxMemory / MEMORY_MARGIN);
    }
  }
  await small.dispose();
});

test("a picture that fits whole runs in the form that is fastest, one that doesn't in the plain form", async () => {
  const loaded: string[] = [];
  const form = (name: string, bytes: number): Engine => ({
    ...greedy(plain),
    predictMemory: () => bytes,
    load(program, weights) {
      loaded.push(`${name} ${program.name}`);
      return plain.load(program, weights);
    },
  });
  const runs = createBoundedRuns({ ...form("fast", 2e9), lean: form("plain", 1e9) }, model.weights);
  const part: ModelPart = {
    ...{ label: "encode", input: "x" },
    build: (shape) => buildEncodeProgram({ kind: "dc-ae", config }, shape),
  };
  const x = random([1, 3, 128, 96]);
  for (const maxMemory of [4e9, 2e9]) await runs.run(x, part, { maxMemory });
  expect(loaded).toEqual(["fast encode", "plain encode"]);
  await runs.dispose();
});

test("ranks whose machines differ in what fits come to one plan", async () => {
  const part: ModelPart = {
    ...{ label: "decode", input: "z" },
    build: (shape) => buildDecodeProgram({ kind: "dc-ae", config }, shape),
  };
  const z = random([1, 2, 4, 3]);
  const whole = await model.decode(z);
  const maxMemory = tightLimit("decode", z.shape);
  // For one, the whole fits as it would run without a limit; for the other, nothing does but small tiles of its lean engine.
  const lean = greedy(plain);
  const engines = [1e6, 64e9].map((bytes): Engine => ({ ...lean, predictMemory: () => bytes, lean }));
  const decoded = await onRanks(2, async (ranks) => {
    const runs = createBoundedRuns(engines[ranks.rank] as Engine, model.weights);
    const result = await runs.run(z, part, { maxMemory }, undefined, ranks);
    await runs.dispose();
    return result;
  });
  for (const result of decoded) expect(relativeError(result, whole)).toBeLessThanOrEqual(1e-5);
});

test("refuses what can't fit, and options that contradict", async () => {
  const x = random(picture);
  await expect(model.encode(x, { maxMemory: 1e8 })).rejects.toThrow(/96x128 pixels needs at least \d+ MB/);
  await expect(model.encode(x, { maxMemory: -1 })).rejects.toThrow(/positive/);
  const tiling = { tile: [512, 512], stride: [448, 448] } as const;
  await expect(model.encode(x, { maxMemory: 1e10, tiling })).rejects.toThrow(/tiling/);
});
