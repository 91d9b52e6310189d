/** The option maxMemory of the model: batches, equality, refusal. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { exactPlans, planExactTiling } from "../../src/autoencoders/exact-tiling-plan.js";
import { AutoencoderDCModel, buildDecodeProgram, buildEncodeProgram } from "../../src/autoencoders/index.js";
import { createRandom, Tensor } from "../../src/graph/index.js";
import type { DcAeConfig } from "../../src/models/dc-ae-config.js";
import { getPreset } from "../../src/models/index.js";
import { createEngine, type Engine } from "../../src/runtime/index.js";
import { relativeError } from "../support/compare.js";
import { randomWeights } from "../support/random-weights.js";

let engine: Engine;
let model: AutoencoderDCModel;
const preset = getPreset("dc-ae-f32c32-in-1.0").config as DcAeConfig;
const shrink = <Part extends DcAeConfig["encoder"] | DcAeConfig["decoder"]>(part: Part): Part => ({
  ...part,
  widthList: part.widthList.map((width) => width / 16),
  depthList: part.depthList.map((depth) => Math.min(depth, 1)),
});
const config: DcAeConfig = {
  ...preset,
  headDim: 4,
  latentChannels: 2,
  encoder: shrink(preset.encoder),
  decoder: shrink(preset.decoder),
};
const picture = [2, 3, 1024, 768];

beforeAll(async () => {
  engine = await createEngine({ device: "cpu", threads: 1 });
  const programs = [buildEncodeProgram(config, picture), buildDecodeProgram(config, [2, 2, 32, 24])];
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
function tightLimit(program: ReturnType<typeof buildEncodeProgram>): number {
  const prepare = (plain: typeof program) => engine.rewrite?.(plain) ?? plain;
  const whole = planExactTiling(program, 32, { maxMemory: 64e9, prepare }).bytes;
  const least = Math.min(...exactPlans(program, 32, { maxMemory: 0, prepare }).map(({ bytes }) => bytes));
  const limit = (whole + least) / 2;
  expect(planExactTiling(program, 32, { maxMemory: limit, prepare }).tiled).not.toBe("whole");
  return limit;
}

test("encode and decode under a limit give the same as without", async () => {
  const x = random(picture);
  const latent = await model.encode(x);
  const maxMemory = tightLimit(buildEncodeProgram(config, [1, ...picture.slice(1)]));
  expect(relativeError(await model.encode(x, { maxMemory }), latent)).toBeLessThanOrEqual(1e-5);
  const decodeLimit = tightLimit(buildDecodeProgram(config, [1, 2, 32, 24]));
  const bounded = await model.decode(latent, { maxMemory: decodeLimit });
  expect(relativeError(bounded, await model.decode(latent))).toBeLessThanOrEqual(1e-5);
});

test("refuses what can't fit, and options that contradict", async () => {
  const x = random(picture);
  await expect(model.encode(x, { maxMemory: 1e8 })).rejects.toThrow(/1024|at least \d+ MB/);
  await expect(model.encode(x, { maxMemory: -1 })).rejects.toThrow(/positive/);
  const tiling = { tile: [512, 512], stride: [448, 448] } as const;
  await expect(model.encode(x, { maxMemory: 1e10, tiling })).rejects.toThrow(/tiling/);
});
