/** What programs give to a model and get from it: pictures in any form, options that are known, calls that end. */
import { join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from "vitest";
import { Autoencoder } from "../../src/autoencoders/autoencoder.js";
import { AutoencoderDC as WebAutoencoderDC } from "../../src/autoencoders/pretrained.browser.js";
import { loadParts, type Platform, type PretrainedOptions } from "../../src/autoencoders/pretrained.js";
import { initialWeights, type Weights } from "../../src/checkpoint/weights.js";
import { ConfigError, DataError, type DcaeError } from "../../src/errors.js";
import type { Program } from "../../src/graph/program.js";
import { Tensor } from "../../src/graph/tensor.js";
import { createImage, imageToTensor, saveImage } from "../../src/image/index.js";
import { AutoencoderDC, type LoadOptions, openCheckpoint } from "../../src/internal/index.js";
import { modelParameters } from "../../src/models/model-programs.js";
import { createEngine } from "../../src/runtime/create-engine.node.js";
import type { Engine, NamedTensors } from "../../src/runtime/engine.js";
import { tinyF32 } from "../support/tiny-config.js";

const folder = temporaryFolder();
const description = { kind: "dc-ae", config: tinyF32, scalingFactor: 0.5, shiftFactor: null } as const;
const weights = initialWeights(modelParameters(description), 1);
const image = createImage(
  32,
  32,
  Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => (i * 7) % 256),
);

async function errorOf(work: Promise<unknown>): Promise<DcaeError> {
  return work.then(
    () => {
      throw new Error("expected a rejection");
    },
    (error) => error,
  );
}

describe("a model of a folder", () => {
  let ae: AutoencoderDC;
  const path = join(folder, "cat.png");
  beforeAll(async () => {
    const made = new AutoencoderDC({
      name: "tiny",
      description,
      weights,
      engine: await createEngine({ device: "cpu", threads: 1 }),
    });
    await made.savePretrained(join(folder, "model"));
    await made.dispose();
    await saveImage(image, path);
    ae = await AutoencoderDC.fromPretrained(join(folder, "model"), { device: "cpu", threads: 1 });
  });
  afterAll(() => ae.dispose());

  test("pictures in any form, and what is typed is true", async () => {
    const latent = await ae.encode(imageToTensor(image));
    expectTypeOf(latent.data).toEqualTypeOf<Float32Array>();
    expect(latent.data).toBeInstanceOf(Float32Array);
    for (const picture of [path, image, sharp(path), new Blob([await sharp(path).toBuffer()])]) {
      expect((await ae.encode(picture)).data).toEqual(latent.data);
      expect((await ae.encodeLatent(picture)).data).toEqual(latent.data);
    }
    const decoded = await ae.decode(latent);
    expectTypeOf(decoded.data).toEqualTypeOf<Float32Array>();
    expect((await ae.reconstruct(path)).data).toEqual(decoded.data);
  });

  test.each([
    [undefined, /^encode: undefined isn't a picture$/],
    [{ kind: "cat" }, /^encode: an object of Object with kind isn't a picture$/],
  ])("what is no picture: %j", async (picture, message) => {
    const error = await errorOf(ae.encode(picture as never));
    expect(error).toBeInstanceOf(DataError);
    expect(error.message).toMatch(message);
    expect(error.hint).toMatch(/an Image, or a float Tensor \[N, 3, H, W\]\.$/);
  });

  test("options that aren't known", async () => {
    const x = Tensor.zeros([1, 3, 32, 32]);
    const calls: [string, Promise<unknown>][] = [
      ['encode: unknown option "scald"; did you mean "scaled"?', ae.encode(x, { scald: true } as object)],
      ['encodeLatent: unknown option "nois"; did you mean "noise"?', ae.encodeLatent(x, { nois: 1 } as object)],
      ['decode: unknown option "tiled"; did you mean "tiling"?', ae.decode(x, { tiled: true } as object)],
      ['reconstruct: unknown option "policy"', ae.reconstruct(x, { policy: "error" } as object)],
      [
        'savePretrained: unknown option "formt"; did you mean "format"?',
        ae.savePretrained(folder, { formt: 1 } as object),
      ],
      ['export: unknown option "part"; did you mean "parts"?', ae.export(folder, { part: "encoder" } as object)],
      ["encode: options are an object, got a boolean", ae.encode(x, true as never)],
    ];
    for (const [message, call] of calls) {
      const error = await errorOf(call);
      expect(error).toBeInstanceOf(ConfigError);
      expect(error.message).toBe(message);
    }
    await expect(ae.encode(x, { scald: undefined } as object)).resolves.toBeDefined();
  });

  test("a signal that was aborted before, and one that is aborted while it computes", async () => {
    const x = Tensor.zeros([1, 3, 32, 32]);
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    const later = new AbortController();
    for (const options of [{ signal }, { signal: later.signal }]) {
      const calls = [
        ae.encode(x, options),
        ae.decode(Tensor.zeros([1, 2, 1, 1]), options),
        ae.reconstruct(path, options),
      ];
      later.abort(reason);
      for (const call of calls) expect(await errorOf(call)).toBe(reason);
    }
    expect((await ae.encode(x)).shape).toEqual([1, 2, 1, 1]);
  });
});

test("what waits for its turn isn't begun when it was aborted", async () => {
  const runs: string[] = [];
  let finish = () => {};
  const engine = {
    name: "slow",
    device: "cpu",
    load: async () => ({
      run: ({ x }: { x: Tensor }) =>
        new Promise<Record<string, Tensor>>((resolve) => {
          runs.push(x.shape.join("x"));
          finish = () => resolve({ latent: Tensor.zeros([1, 2, 1, 1]) });
        }),
      dispose: async () => undefined,
    }),
    dispose: async () => undefined,
  } as unknown as Engine;
  const ae = new Autoencoder({ name: "tiny", description, weights, engine });
  const stop = new AbortController();
  const first = ae.encode(Tensor.zeros([1, 3, 32, 32]));
  const second = errorOf(ae.encode(Tensor.zeros([1, 3, 64, 32]), { signal: stop.signal }));
  stop.abort("changed my mind");
  expect(await second).toBe("changed my mind");
  await new Promise((resolve) => setImmediate(resolve));
  finish();
  await first;
  await ae.dispose();
  expect(runs).toEqual(["1x3x32x32"]);
});

test("warming up loads and runs the programs of a size, which the first picture finds", async () => {
  const loaded: string[] = [];
  const runs: string[] = [];
  const real = await createEngine({ device: "cpu", threads: 1 });
  const engine = {
    name: real.name,
    device: real.device,
    load: async (program: Program, from: Weights) => {
      const inner = await real.load(program, from);
      loaded.push([...program.inputs.keys()].join());
      return {
        run: (inputs: NamedTensors) => {
          runs.push(Object.entries(inputs).map(([name, { shape }]) => `${name} ${shape.join("x")}`)[0] as string);
          return inner.run(inputs);
        },
        dispose: () => inner.dispose(),
      };
    },
    dispose: () => real.dispose(),
  } as unknown as Engine;
  const ae = new Autoencoder({ name: "tiny", description, weights, engine });
  await ae.warmUp({ size: [32, 64] });
  expect(runs).toEqual(["x 1x3x32x64", "latent 1x2x1x2"]);
  await ae.reconstruct(Tensor.zeros([1, 3, 32, 64]));
  expect(loaded).toEqual(["x", "latent"]);
  await ae.warmUp({ size: 32, parts: ["decode"] });
  expect(runs.at(-1)).toBe("latent 1x2x1x1");
  await expect(ae.warmUp({ size: 33 })).rejects.toThrow(/33x33 pixels aren't multiples of 32/);
  await expect(ae.warmUp({ size: 32, parts: ["encoder" as "encode"] })).rejects.toThrow(/no part "encoder"/);
  await expect(ae.warmUp({ sizes: 32 } as never)).rejects.toThrow(/unknown option "sizes"; did you mean "size"/);
  const stopped = AbortSignal.abort("enough");
  await expect(ae.warmUp({ size: 32, signal: stopped })).rejects.toBe("enough");
  await ae.dispose();
});

test("a model made by hand takes pixels, and says that it reads no files", async () => {
  const ae = new Autoencoder({
    name: "tiny",
    description,
    weights,
    engine: await createEngine({ device: "cpu", threads: 1 }),
  });
  expect((await ae.encode(image)).shape).toEqual([1, 2, 1, 1]);
  await expect(ae.encode("cat.png")).rejects.toThrow(/made by hand, and doesn't say how pictures are read/);
  await ae.dispose();
});

describe("loading", () => {
  const log: string[] = [];
  const entries: Weights = {
    ...weights,
    close: async () => {
      log.push("weights closed");
    },
  };
  let start: (engine: Engine) => void = () => {};
  const platform: Platform<PretrainedOptions> = {
    check: () => undefined,
    readPicture: () => Promise.reject(new Error("not asked for")),
    open: async () => ({ source: "here", configSource: "here", config: undefined, weights: entries }),
    createEngine: () =>
      new Promise((resolve) => {
        log.push("engine starts");
        start = resolve;
      }),
  };
  const engine = {
    dispose: async () => {
      log.push("engine disposed");
    },
  } as unknown as Engine;

  test("ends when the signal is aborted, and closes what comes afterwards", async () => {
    const stop = new AbortController();
    const loading = errorOf(loadParts(platform, "here", { config: tinyF32, signal: stop.signal }));
    while (log.length === 0) await new Promise((resolve) => setImmediate(resolve));
    stop.abort("enough");
    expect(await loading).toBe("enough");
    expect(log).toEqual(["engine starts"]);
    start(engine);
    await new Promise((resolve) => setImmediate(resolve));
    expect(log).toEqual(["engine starts", "engine disposed", "weights closed"]);
    await expect(loadParts(platform, "here", { signal: AbortSignal.abort("no") })).rejects.toBe("no");
  });

  const load = (options: object) => errorOf(AutoencoderDC.fromPretrained("small-f32", options as LoadOptions));

  test.each<[object, RegExp, RegExp]>([
    [
      { devic: "cpu" },
      /^fromPretrained: unknown option "devic"; did you mean "device"\?$/,
      /Options: revision, .*device/,
    ],
    [{ device: "gpu" }, /^device: "gpu" is unknown/, /^Use auto, cpu, webgpu, cuda, tensorrt, coreml or dml;/],
    [{ threads: 0 }, /^threads: 0 isn't a positive integer$/, /^$/],
    [{ optimize: "yes" }, /^optimize: "yes" is unknown$/, /true or false/],
  ])("wrong options, before anything is opened: %j", async (options, message, hint) => {
    const error = await load({ ...options, fetch: "never called" });
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(message);
    expect(error.hint ?? "").toMatch(hint);
  });

  test("and without an engine", async () => {
    await expect(openCheckpoint("small-f32", { device: "cpu" } as object)).rejects.toThrow(/unknown option "device"/);
    await expect(createEngine({ thread: 1 } as object)).rejects.toThrow(
      /unknown option "thread"; did you mean "threads"\?/,
    );
  });

  test.each([
    [{ optimize: true }, /the option optimize isn't there in browsers: programs run as they are written/],
    [{ programCache: "cache" }, /the option programCache isn't there in browsers/],
    [{ device: "gpu" }, /device: "gpu" is unknown in browsers/],
    [{ devic: "wasm" }, /unknown option "devic"; did you mean "device"\?/],
    [{ threads: 0 }, /threads: 0 isn't a positive integer/],
    [{ threads: 2 }, /threads: 2 need a page that is cross-origin isolated/],
    [{ worker: "yes" }, /worker: yes isn't true or false/],
    [{ worker: true, ort: {} }, /worker: it has no effect beside ort/],
    [{ wasmPaths: "/wasm/", ort: {} }, /wasmPaths: it has no effect beside ort/],
  ])("in a browser: %j", async (options, message) => {
    await expect(WebAutoencoderDC.fromPretrained("small-f32", options as object)).rejects.toThrow(message);
  });
});
