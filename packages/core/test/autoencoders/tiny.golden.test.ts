/** Tiny autoencoders: the golden cases, from the files that people have, and what of them can't be loaded. */
import { copyFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expectClose } from "@dcae/test-support/compare";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterEach, describe, expect, test } from "vitest";
import { openSafetensorsFile, writeSafetensorsFile } from "../../src/checkpoint/safetensors/file.node.js";
import { CheckpointError, ConfigError, type DcaeError } from "../../src/errors.js";
import { Tensor } from "../../src/graph/tensor.js";
import { AutoencoderDC, AutoencoderTiny, exportOnnx, loadAutoencoder } from "../../src/internal/index.js";
import { buildDecodeProgram, buildEncodeProgram } from "../../src/models/model-programs.js";
import { samplePlans } from "../support/sample-plans.js";
import { tiledErrors } from "../support/tiled-error.js";

const golden = fileURLToPath(new URL("../golden/tiny/", import.meta.url));
const options = { device: "cpu", threads: 1 } as const;
const root = temporaryFolder();
const folder = () => mkdtempSync(join(root, "tiny-"));

interface TinyCase {
  readonly name: string;
  readonly kind: "autoencoder_tiny" | "taesd_torch";
  readonly tolerance: { readonly relative: number };
}

const cases = readdirSync(golden)
  .filter((file) => file.endsWith(".json"))
  .map((file): TinyCase => JSON.parse(readFileSync(join(golden, file), "utf8")));
const originals = cases.filter(({ kind }) => kind === "taesd_torch");

async function tensorsOf(name: string): Promise<(tensor: string) => Promise<Tensor>> {
  const file = await openSafetensorsFile(join(golden, `${name}.safetensors`));
  open.push({ dispose: () => file.close() });
  return (tensor) => (file.entries.get(tensor) ?? expect.fail(`no tensor ${tensor}`)).read();
}

/** The original networks see pictures in [0, 1]. */
const toSigned = (x: Tensor) =>
  Tensor.float32(
    x.toFloat32().map((value) => value * 2 - 1),
    x.shape,
  );
const toUnit = (x: Tensor) =>
  Tensor.float32(
    x.toFloat32().map((value) => (value + 1) / 2),
    x.shape,
  );

const open: { dispose(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.dispose()));
});
async function load(path: string, more = {}): Promise<AutoencoderTiny> {
  const model = await AutoencoderTiny.fromPretrained(path, { ...options, ...more });
  open.push(model);
  return model;
}
async function failure(promise: Promise<{ dispose(): Promise<void> }>): Promise<DcaeError> {
  return promise.then(
    (model) => model.dispose().then(() => expect.fail("expected a rejection")),
    (error: DcaeError) => error,
  );
}

test("there are cases of both kinds", () => {
  expect(new Set(cases.map(({ kind }) => kind))).toEqual(new Set(["autoencoder_tiny", "taesd_torch"]));
});

describe.each(cases)("$name", ({ name, kind, tolerance: { relative } }) => {
  const isOriginal = kind === "taesd_torch";
  const path = join(golden, isOriginal ? name : `${name}_diffusers`);
  const [picture, back] = isOriginal ? [toSigned, toUnit] : [(x: Tensor) => x, (x: Tensor) => x];

  test.each([false, true])("encode and decode, optimize: %s", async (optimize) => {
    const model = await load(path, { optimize });
    const tensor = await tensorsOf(name);
    expectClose(await model.encode(picture(await tensor("in.x"))), await tensor("out.latent"), relative);
    expectClose(back(await model.decode(await tensor("in.latent"))), await tensor("out.picture"), relative);
    expect(model.scalingFactor).toBe(1);
  });

  test("in exact tiles", async () => {
    const { engine, description, compression: f, latentChannels } = await load(path);
    const programs = [
      buildEncodeProgram(description, [1, 3, 4 * f, 7 * f]),
      buildDecodeProgram(description, [1, latentChannels, 4, 7]),
    ];
    for (const program of programs) {
      const plans = samplePlans(program, [2], [0, 0.5, 1]);
      for (const error of await tiledErrors(engine, program, plans)) expect(error).toBeLessThanOrEqual(1e-5);
    }
  });

  test("saved, loaded and exported, it is the same model", async () => {
    const model = await load(path);
    const tensor = await tensorsOf(name);
    const latent = await tensor("in.latent");
    const expected = await model.decode(latent);
    const directory = join(folder(), "saved");
    await model.savePretrained(directory);
    const again = await loadAutoencoder(directory, options);
    open.push(again);
    expect(again.description.config).toEqual(model.config);
    expect((await again.decode(latent)).data).toEqual(expected.data);
    // Verifies each part against the model by itself.
    const parts = await exportOnnx(model as never, join(folder(), "onnx"));
    expect(parts.map(({ part }) => part)).toEqual(["encoder", "decoder"]);
  });
});

describe.each(originals)("halves of $name", ({ name, tolerance: { relative } }) => {
  test("an encoder loads alone, and says what lacks when it is asked to decode", async () => {
    const model = await load(join(golden, `${name}_encoder.pth`));
    const tensor = await tensorsOf(name);
    expectClose(await model.encode(toSigned(await tensor("in.x"))), await tensor("out.latent"), relative);
    const error = await model.decode(await tensor("in.latent")).catch((reason) => reason);
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(/no decoder/);
  });

  test("a decoder loads alone, is saved and exported alone", async () => {
    const model = await load(join(golden, `${name}_decoder.pth`));
    const tensor = await tensorsOf(name);
    const latent = await tensor("in.latent");
    const picture = await model.decode(latent);
    expectClose(toUnit(picture), await tensor("out.picture"), relative);
    const error = await model.encode(toSigned(await tensor("in.x"))).catch((reason) => reason);
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(/no encoder/);
    const directory = join(folder(), "half");
    await model.savePretrained(directory);
    const again = await load(directory);
    expect((await again.decode(latent)).data).toEqual(picture.data);
    const parts = await exportOnnx(model as never, join(folder(), "onnx"));
    expect(parts.map(({ part }) => part)).toEqual(["decoder"]);
  });
});

describe("what doesn't fit gives one clear line", () => {
  const [plain, wide] = ["taesd_narrow", "taesana_narrow"];
  const half = (name: string, part: string) => join(golden, `${name}_${part}.pth`);
  const pair = (encoder: string, decoder: string): string => {
    const directory = folder();
    copyFileSync(encoder, join(directory, "x_encoder.pth"));
    copyFileSync(decoder, join(directory, "x_decoder.pth"));
    return directory;
  };

  test.each([
    [
      "an encoder as decoder",
      () => pair(half(plain, "encoder"), half(plain, "encoder")),
      /decoder don't begin like one/,
    ],
    [
      "a decoder as encoder",
      () => pair(half(plain, "decoder"), half(plain, "decoder")),
      /encoder don't begin like one/,
    ],
    [
      "encoder and decoder of two models",
      () => pair(half(plain, "encoder"), half(wide, "decoder")),
      /not of one model/,
    ],
    [
      "an f32 encoder with an f8 decoder",
      () => pair(half(wide, "encoder"), half("taef2_narrow", "decoder")),
      /not of one model/,
    ],
  ])("%s", async (_, path, message) => {
    const error = await failure(AutoencoderTiny.fromPretrained(path(), options));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain("\n");
  });

  test("a truncated file", async () => {
    const path = join(folder(), "taesd_encoder.pth");
    copyFileSync(half(plain, "encoder"), path);
    truncateSync(path, 30_000);
    const error = await failure(AutoencoderTiny.fromPretrained(path, options));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toContain("taesd_encoder.pth");
  });

  test("a folder with several models, and a tiny model where a DC-AE is asked for", async () => {
    const several = await failure(AutoencoderTiny.fromPretrained(golden, options));
    expect(several).toBeInstanceOf(CheckpointError);
    const other = await failure(AutoencoderDC.fromPretrained(half(plain, "encoder"), options));
    expect(other.message).toMatch(/is a TAESD, not a DC-AE/);
  });

  test("diffusers' names without their configuration: nobody knows its activations", async () => {
    const directory = folder();
    cpSync(join(golden, "tiny_f8_diffusers"), directory, { recursive: true });
    rmSync(join(directory, "config.json"));
    const error = await failure(AutoencoderTiny.fromPretrained(directory, options));
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.hint).toMatch(/configuration/);
  });
});

test("a diffusers checkpoint with the tensors of the decoder alone is a decoder", async () => {
  const whole = await openSafetensorsFile(join(golden, "tiny_f8_diffusers", "diffusion_pytorch_model.safetensors"));
  const directory = folder();
  copyFileSync(join(golden, "tiny_f8_diffusers", "config.json"), join(directory, "config.json"));
  const half = [...whole.entries.values()].filter(({ name }) => name.startsWith("decoder."));
  await writeSafetensorsFile(join(directory, "diffusion_pytorch_model.safetensors"), half);
  await whole.close();
  const model = await load(directory);
  const tensor = await tensorsOf("tiny_f8");
  expectClose(await model.decode(await tensor("in.latent")), await tensor("out.picture"), 1e-5);
  await expect(model.encode(await tensor("in.x"))).rejects.toThrow(/no encoder/);
});

test("latents as values of pictures", async () => {
  const model = await load(join(golden, "tiny_f8_diffusers"));
  const unit = model.toUnitRange(Tensor.float32([-4, -3, 0, 1.5, 3, 9], [6]));
  expect([...unit.data]).toEqual([0, 0, 0.5, 0.75, 1, 1]);
  expect([...model.fromUnitRange(unit).data]).toEqual([-3, -3, 0, 1.5, 3, 3]);
});
