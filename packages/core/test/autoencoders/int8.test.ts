/** The shipped model with 8 bits: what it costs in quality, what is kept, what is refused. */
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { relativeError } from "@dcae/test-support/compare";
import { drawScene } from "@dcae/test-support/scenes";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { WeightEntry } from "../../src/checkpoint/weights.js";
import { ConfigError } from "../../src/errors.js";
import { type Program, sizeOf, Tensor, topologicalOrder } from "../../src/graph/index.js";
import { imageToTensor, psnr, tensorToImage } from "../../src/image/index.js";
import {
  AutoencoderDC,
  buildEncodeProgram,
  bundledModelPath,
  calibrate,
  type LoadOptions,
} from "../../src/internal/index.js";
import { createEngine } from "../../src/runtime/index.js";

const folder = temporaryFolder();
const SIZE = 128;
const options = { device: "cpu", threads: 1 } as const;
const scene = (seed: number) => imageToTensor(drawScene({ width: SIZE, height: SIZE, seed }));
// Small ones are quick, and what is measured below isn't among them.
const calibration = { pictures: [0, 1, 2].map((seed) => scene(100 + seed)) };

let exact: AutoencoderDC;
let int8: AutoencoderDC;
beforeAll(async () => {
  exact = await AutoencoderDC.fromPretrained(bundledModelPath(), options);
  int8 = await AutoencoderDC.fromPretrained(bundledModelPath(), { ...options, dtype: "int8", calibration });
});
afterAll(() => Promise.all([exact.dispose(), int8.dispose()]));

test("costs less than a tenth of a decibel, and is close to float32", async () => {
  for (const seed of [1, 2, 3, 4]) {
    const x = scene(seed);
    const [original, whole, rounded] = [x, await exact.reconstruct(x), await int8.reconstruct(x)].map((tensor) =>
      tensorToImage(tensor),
    ) as [ReturnType<typeof tensorToImage>, ReturnType<typeof tensorToImage>, ReturnType<typeof tensorToImage>];
    // 44 dB is a root mean square error of 1.6 of 255.
    expect(psnr(whole, rounded)).toBeGreaterThan(44);
    expect(psnr(whole, rounded)).toBeLessThan(Number.POSITIVE_INFINITY);
    expect(psnr(original, whole) - psnr(original, rounded)).toBeLessThan(0.1);
  }
});

test("a batch gives what its pictures give", async () => {
  const pictures = [scene(5), scene(6)];
  const joined = Tensor.zeros([2, 3, SIZE, SIZE]);
  pictures.forEach((x, i) => {
    joined.data.set(x.toFloat32(), i * x.data.length);
  });
  const latents = await int8.encode(joined);
  for (const [i, x] of pictures.entries()) {
    expect(relativeError(latents.slice([{ start: i, stop: i + 1 }]), await int8.encode(x))).toBe(0);
  }
});

describe("programCache", () => {
  const cache = join(folder, "cache");
  const load = (more: Partial<LoadOptions> = {}) =>
    AutoencoderDC.fromPretrained(bundledModelPath(), {
      ...options,
      dtype: "int8",
      programCache: cache,
      calibration,
      ...more,
    });
  const rangesFiles = async () => (await readdir(cache)).filter((name) => name.startsWith("ranges-"));

  test("keeps ranges and 8-bit weights, and gives the same results from them", async () => {
    const x = scene(7);
    const expected = await int8.encode(x);
    const first = await load();
    expect(relativeError(await first.encode(x), expected)).toBe(0);
    await first.dispose();
    expect(await rangesFiles()).toHaveLength(1);

    const onProgress = vi.fn();
    const second = await load({ calibration: { ...calibration, onProgress } });
    expect(onProgress).not.toHaveBeenCalled();
    expect(relativeError(await second.encode(x), expected)).toBe(0);
    await second.dispose();

    // A byte per weight of the encoder's quantized convolutions, and 32 of a hash; nothing in float32 beside them.
    const kept = (await readdir(cache)).filter((name) => /^[0-9a-f]{64}$/.test(name));
    const sizes = await Promise.all(kept.map(async (name) => (await stat(join(cache, name))).size - 32));
    const program = second.engine.rewrite?.(
      buildEncodeProgram({ kind: "dc-ae", config: second.config }, x.shape),
    ) as Program;
    const weights = topologicalOrder([...program.outputs.values()])
      .filter(({ op, dtype }) => op === "quantizeLinear" && dtype === "int8")
      .map(({ shape }) => sizeOf(shape as readonly number[]))
      .filter((bytes) => bytes > 4096);
    expect(weights.length).toBeGreaterThan(10);
    for (const size of weights) expect(sizes).toContain(size);
  });

  test("other pictures, other ranges; a damaged file is made again", async () => {
    const before = await rangesFiles();
    await (await load({ calibration: { pictures: [scene(300)] } })).dispose();
    expect(await rangesFiles()).toHaveLength(before.length + 1);
    const path = join(cache, before[0] as string);
    const whole = await readFile(path, "utf8");
    await writeFile(path, whole.slice(0, whole.length / 2));
    await (await load()).dispose();
    expect(await readFile(path, "utf8")).toBe(whole);
  });
});

describe("refused", () => {
  // Observing would refuse it.
  const none = { pictures: [] };
  const given = { w: { input: [0, 1], output: [0, 1] } } as const;
  test.each<[string, Parameters<typeof createEngine>[0], RegExp]>([
    ["without ranges", { dtype: "int8" }, /int8 needs the ranges/],
    ["words beside a form", { dtype: "int8", form: { kind: "int8", ranges: given } }, /dtype.*no effect beside form/],
    ["on another device", { device: "webgpu", form: { kind: "int8", ranges: given } }, /for the CPU.*webgpu/],
    ["optimize", { dtype: "int8", optimize: true }, /optimize.*no effect/],
    ["optimize with float16", { dtype: "float16", optimize: true }, /optimize.*no effect with dtype float16/],
    ["an unknown word", { optimize: "yes" as never }, /optimize: "yes" is unknown/],
    ["an unknown type", { dtype: "int4" as never }, /"int4" is unknown/],
  ])("%s", async (_, engineOptions, message) => {
    const promise = createEngine(engineOptions);
    await expect(promise).rejects.toBeInstanceOf(ConfigError);
    await expect(promise).rejects.toThrow(message);
  });

  test("a model whose values aren't finite", async () => {
    const entries = new Map(exact.weights.entries);
    const [name, entry] = [...entries].find(([, { shape }]) => shape.length === 4) as [string, WeightEntry];
    const broken = Tensor.full(entry.shape, Number.NaN);
    entries.set(name, { name, dtype: broken.dtype, shape: broken.shape, read: async () => broken });
    const { description, engine } = exact;
    const weights = { ...exact.weights, entries };
    await expect(calibrate({ description, weights, engine }, calibration)).rejects.toThrow(`"${name}" holds NaN`);
  });

  test("calibration without effect, no pictures", async () => {
    const path = bundledModelPath();
    await expect(AutoencoderDC.fromPretrained(path, { ...options, calibration })).rejects.toThrow(/no effect/);
    const empty = { ...options, dtype: "int8", calibration: none } as const;
    await expect(AutoencoderDC.fromPretrained(path, empty)).rejects.toThrow(/no pictures/);
    const unknown = AutoencoderDC.fromPretrained(path, { ...options, dtype: "int8" });
    await expect(unknown).rejects.toThrow(/dtype int8: the ranges .* aren't known/);
  });

  test.each<[string, LoadOptions, RegExp]>([
    ["another device", { device: "webgpu", dtype: "int8", calibration: none }, /int8 is for the CPU.*webgpu/],
    [
      "a form on another device",
      { device: "webgpu", form: { kind: "int8", calibration: none } },
      /for the CPU.*webgpu/,
    ],
    ["words beside a form", { device: "cpu", dtype: "int8", form: { kind: "int8", calibration: none } }, /beside form/],
    [
      "pictures beside a form",
      { device: "cpu", calibration: none, form: { kind: "int8", calibration: none } },
      /beside form/,
    ],
    [
      "optimize",
      { device: "cpu", dtype: "int8", optimize: true, calibration: none },
      /optimize.*no effect with dtype int8/,
    ],
  ])("%s, before anything is observed", async (_, loadOptions, message) => {
    const promise = AutoencoderDC.fromPretrained(bundledModelPath(), loadOptions);
    await expect(promise).rejects.toBeInstanceOf(ConfigError);
    await expect(promise).rejects.toThrow(message);
  });

  test("a form whose ranges are to be observed is the same as the words", async () => {
    const model = await AutoencoderDC.fromPretrained(bundledModelPath(), {
      ...options,
      form: { kind: "int8", calibration },
    });
    try {
      const x = scene(1);
      expect((await model.encode(x)).data).toEqual((await int8.encode(x)).data);
    } finally {
      await model.dispose();
    }
  });
});

test("under a limit of memory, tiles give what the whole picture gives, but for what rounds the other way", async () => {
  const x = imageToTensor(drawScene({ width: 512, height: 512, seed: 9 }));
  const latent = await int8.encode(x);
  for (const [part, input] of [["encode", x] as const, ["decode", latent] as const]) {
    const expected = await int8[part](input);
    expect(() => int8.planMemory(part, input.shape, { maxMemory: 1e8 })).toThrow(/needs at least \d+ MB/);
    const whole = int8.planMemory(part, input.shape, { maxMemory: 1e12 });
    expect(whole.tiles).toBe(0);
    const maxMemory = 1.2 * whole.bytes;
    expect(int8.planMemory(part, input.shape, { maxMemory }).tiles).toBeGreaterThan(1);
    const tiled = await int8[part](input, { maxMemory });
    // A step of 8 bits is 1/255 of a range; a value that lies between two steps may take either.
    expect(relativeError(tiled, expected)).toBeLessThan(2 / 255);
  }
});
