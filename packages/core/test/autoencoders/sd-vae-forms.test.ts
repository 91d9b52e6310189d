/** What SD-VAE has as every family does: limits of memory (its exact tiles: exact-tiling.soak.test.ts), numbers of 8 bits, latents without asking what they are. */
import { relativeError } from "@dcae/test-support/compare";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ConfigError } from "../../src/errors.js";
import { createRandom, sizeOf, Tensor } from "../../src/graph/index.js";
import { Autoencoder, calibrate } from "../../src/internal/index.js";
import { modelParameters, resolveSdVaeConfig } from "../../src/models/index.js";
import { createEngine, type OnnxEngine } from "../../src/runtime/index.js";
import { errorOf } from "../support/error-of.js";
import { randomWeights } from "../support/random-weights.js";

const config = resolveSdVaeConfig({ blockOutChannels: [8, 16], layersPerBlock: 1, normNumGroups: 4, sampleSize: 64 });
const description = { kind: "sd-vae", config, scalingFactor: 0.5, shiftFactor: 1 } as const;
const weights = randomWeights(
  { parameters: new Map(modelParameters(description).map((spec) => [spec.name, spec])) },
  5,
);
let engine: OnnxEngine;
let model: Autoencoder<"sd-vae">;

beforeAll(async () => {
  engine = await createEngine({ device: "cpu", threads: 1 });
  model = new Autoencoder({ name: "tiny", description, weights, engine });
});
afterAll(() => model.dispose());

function normal(shape: readonly number[], seed: number): Tensor {
  const data = new Float32Array(sizeOf(shape));
  createRandom(seed).normal(data);
  return Tensor.float32(data, shape);
}

test("a limit of memory is planned for, kept to, or refused with what would do", async () => {
  const x = normal([2, 3, 32, 32], 1);
  const limit = { maxMemory: 1e12 };
  expect(model.planMemory("encode", x.shape, limit).tiles).toBe(0);
  expect(relativeError(await model.reconstruct(x, limit), await model.reconstruct(x))).toBeLessThan(1e-5);
  const error = errorOf(ConfigError, () => model.planMemory("encode", x.shape, { maxMemory: 1e6 }));
  expect(error.message).toMatch(/needs at least \d+ MB/);
});

test("latents without asking what the model encodes to", async () => {
  const x = normal([2, 3, 16, 16], 3);
  const gaussian = await model.encode(x);
  const noise = normal(gaussian.mean.shape, 4);
  expect((await model.encodeLatent(x)).data).toEqual(gaussian.mode().data);
  expect((await model.encodeLatent(x, { noise })).data).toEqual(gaussian.sample(noise).data);
  expect((await model.encodeLatent(x, { scaled: true })).data).toEqual(model.scaleLatent(gaussian.mode()).data);
  await expect(model.encode(x, { scaled: true })).rejects.toThrow(/encodes to a distribution/);
  await expect(model.encode(x, { latentChannels: 2 })).rejects.toThrow(/isn't adaptive/);
});

test("tiles of any size, also ragged ones", async () => {
  const x = normal([1, 3, 46, 38], 5);
  const tiling = { tile: [32, 32], stride: [24, 24] } as const;
  const { mean } = await model.encode(x, { tiling });
  expect(mean.shape).toEqual([1, 4, 23, 19]);
  expect((await model.decode(mean, { tiling })).shape).toEqual(x.shape);
});

test("convolutions with numbers of 8 bits", async () => {
  const pictures = [
    Tensor.float32(
      normal([1, 3, 64, 64], 2)
        .toFloat32()
        .map((v) => Math.tanh(v)),
      [1, 3, 64, 64],
    ),
  ];
  const ranges = await calibrate(model, { pictures });
  const int8 = new Autoencoder({
    name: "tiny",
    description,
    weights,
    engine: await createEngine({ device: "cpu", threads: 1, form: { kind: "int8", ranges } }),
  });
  const x = pictures[0] as Tensor;
  try {
    const exact = await model.reconstruct(x);
    const error = relativeError(await int8.reconstruct(x), exact);
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(0.1);
  } finally {
    await int8.engine.dispose();
  }
});
