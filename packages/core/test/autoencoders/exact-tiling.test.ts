/** Tiles with halos give the whole picture's result: every preset's architecture at tiny widths, every kind of cut. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runExact } from "../../src/autoencoders/exact-tiling.js";
import { type ExactPlan, exactPlans, planExactTiling } from "../../src/autoencoders/exact-tiling-plan.js";
import { buildDecodeProgram, buildEncodeProgram, buildKlDecodeProgram } from "../../src/autoencoders/index.js";
import { ConfigError } from "../../src/errors.js";
import { createRandom, type Program, Tensor } from "../../src/graph/index.js";
import { ARCHITECTURES } from "../../src/models/architectures.js";
import { type DcAeConfig, spatialCompression } from "../../src/models/dc-ae-config.js";
import { getPreset } from "../../src/models/index.js";
import { createEngine, type Engine } from "../../src/runtime/index.js";
import { relativeError } from "../support/compare.js";
import { randomWeights } from "../support/random-weights.js";

const TOLERANCE = 1e-5;
/** Widths are divided by this, and a stage has at most one block. */
const SHRINK = 16;

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ device: "cpu", threads: 1, optimize: false });
});
afterAll(() => engine.dispose());

function tiny(config: DcAeConfig): DcAeConfig {
  const shrink = <Part extends DcAeConfig["encoder"] | DcAeConfig["decoder"]>(part: Part): Part => ({
    ...part,
    widthList: part.widthList.map((width) => width / SHRINK),
    depthList: part.depthList.map((depth) => Math.min(depth, 1)),
  });
  return {
    ...config,
    headDim: 4,
    latentChannels: config.latentChannels / SHRINK,
    encoder: shrink(config.encoder),
    decoder: shrink(config.decoder),
  };
}

function randomInput(program: Program): Tensor {
  const [value] = program.inputs.values();
  const shape = value?.shape as number[];
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  createRandom(3, "x").normal(data);
  return Tensor.float32(data, shape);
}

async function runOnce(program: Program, weights: ReturnType<typeof randomWeights>, inputs: Record<string, Tensor>) {
  const loaded = await engine.load(program, weights);
  const outputs = await loaded.run(inputs);
  await loaded.dispose();
  return outputs;
}

async function tiledError(program: Program, plan: ExactPlan): Promise<number> {
  const weights = randomWeights(program, 17);
  const x = randomInput(program);
  const [name] = program.inputs.keys();
  const [expected] = Object.values(await runOnce(program, weights, { [name as string]: x }));
  // As a program cache does: whatever is loaded under a key serves every tile that has it.
  const programs = new Map<string, Program>();
  const actual = await runExact(
    plan,
    x,
    (key, build, inputs) => {
      const known = programs.get(key) ?? build();
      programs.set(key, known);
      return runOnce(known, weights, inputs);
    },
    "test",
  );
  return relativeError(actual, expected as Tensor);
}

/** The cheapest and the deepest plan of each kind with few enough tiles for a test. */
function samplePlans(program: Program, compression: number): ExactPlan[] {
  const plans = exactPlans(program, compression, { maxMemory: 0 }).filter(({ regions }) => regions.length <= 24);
  return (["first", "last"] as const).flatMap((tiled) => {
    const kind = plans.filter((plan) => plan.tiled === tiled && plan.regions.length >= 4);
    return [kind.at(0), kind.at(-1), kind.at(Math.floor(kind.length / 2))].filter((plan) => plan !== undefined);
  });
}

describe.each(Object.entries(ARCHITECTURES))("%s", (_, { config }) => {
  const small = tiny(config);
  const f = spatialCompression(small);
  const [height, width] = f === 32 ? [128, 192] : [2 * f, 3 * f];

  test("encode", { timeout: 120_000 }, async () => {
    const program = buildEncodeProgram(small, [1, 3, height, width]);
    const plans = samplePlans(program, f).filter(({ tiled }) => tiled === "first");
    expect(plans.length).toBeGreaterThanOrEqual(2);
    for (const plan of plans) expect(await tiledError(program, plan)).toBeLessThanOrEqual(TOLERANCE);
  });

  test("decode", { timeout: 120_000 }, async () => {
    const program = buildDecodeProgram(small, [1, small.latentChannels, height / f, width / f]);
    const plans = samplePlans(program, f).filter(({ tiled }) => tiled === "last");
    expect(plans.length).toBeGreaterThanOrEqual(2);
    for (const plan of plans) expect(await tiledError(program, plan)).toBeLessThanOrEqual(TOLERANCE);
  });
});

describe("planning", () => {
  const config = getPreset("dc-ae-f32c32-in-1.0").config as DcAeConfig;
  const program = buildDecodeProgram(config, [1, 32, 32, 32]);

  test("runs whole what fits", () => {
    expect(planExactTiling(program, 32, { maxMemory: 64e9 }).tiled).toBe("whole");
  });

  test("keeps the attention stages whole, and the least arithmetic among what fits", () => {
    const whole = planExactTiling(program, 32, { maxMemory: 64e9 });
    const plan = planExactTiling(program, 32, { maxMemory: whole.bytes * 0.8 });
    expect(plan.tiled).toBe("last");
    expect(plan.bytes).toBeLessThanOrEqual(whole.bytes * 0.8);
    expect(plan.overhead).toBeGreaterThan(1);
    expect(plan.overhead).toBeLessThan(2);
    expect(plan.path.every(({ op }) => op !== "matmul")).toBe(true);
  });

  test("refuses what can't fit, naming the memory that would do", () => {
    const attempt = () => planExactTiling(program, 32, { maxMemory: 500e6 });
    expect(attempt).toThrow(ConfigError);
    const needed = /at least (\d+) MB/.exec(String(catchError(attempt)))?.[1];
    expect(planExactTiling(program, 32, { maxMemory: Number(needed) * 1e6 }).tiled).toBe("last");
  });

  test("SD-VAE has statistics over the whole picture in every block: only its last layers can be tiled", () => {
    const kl = getPreset("sd-vae-ft-mse").config as Parameters<typeof buildKlDecodeProgram>[0];
    const plans = exactPlans(buildKlDecodeProgram(kl, [1, 4, 32, 32]), 8, { maxMemory: 0 });
    for (const { path } of plans) expect(path.length).toBeLessThan(10);
  });
});

function catchError(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}
