/** The asymmetric SD-VAE: the golden cases with and without a mask, in every form of a file and of the graph, and what can't be decoded. */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expectClose, MODEL_TOLERANCE, relativeError } from "@dcae/test-support/compare";
import { type DcAeCase, dcAeCases, dcAeNames } from "@dcae/test-support/golden-dcae";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterEach, describe, expect, test } from "vitest";
import { recognizeFormat } from "../../src/checkpoint/names/infer-model.js";
import { planWeights, unmapWeights } from "../../src/checkpoint/names/weight-plan.js";
import { writeSafetensorsFile } from "../../src/checkpoint/safetensors/file.node.js";
import { ConfigError, DataError, type DcaeError, ShapeError } from "../../src/errors.js";
import { Tensor } from "../../src/graph/tensor.js";
import { createImage } from "../../src/image/image.js";
import {
  AsymmetricAutoencoderKL,
  Autoencoder,
  AutoencoderKL,
  calibrate,
  loadAutoencoder,
} from "../../src/internal/index.js";
import { parseAsymmetricKlConfig } from "../../src/models/asymmetric-kl/asymmetric-kl-config.js";
import { modelParameters } from "../../src/models/model-programs.js";
import { createEngine } from "../../src/runtime/index.js";
import { createRewritingEngine, type Rewrites } from "../support/rewrite-engines.js";

const root = temporaryFolder();
const open: { dispose(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.dispose()));
});
const opened = <T extends { dispose(): Promise<void> }>(one: T): T => {
  open.push(one);
  return one;
};

const descriptionOf = ({ config }: Pick<DcAeCase, "config">) =>
  ({ kind: "asymmetric-kl", ...parseAsymmetricKlConfig(config) }) as const;

/** A checkpoint of a case as diffusers saves it, or under the authors' names. */
async function checkpointOf(golden: DcAeCase, format: "diffusers" | "ldm" = "diffusers"): Promise<string> {
  const folder = mkdtempSync(join(root, "asymmetric-"));
  const plan = planWeights(modelParameters(descriptionOf(golden)), `asymmetric-kl-${format}`);
  const { entries } = unmapWeights(golden.weights, plan);
  await writeSafetensorsFile(join(folder, "diffusion_pytorch_model.safetensors"), entries.values());
  const config = { _class_name: "AsymmetricAutoencoderKL", _diffusers_version: "0.35.0", ...golden.config };
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  return folder;
}

async function modelOf(golden: DcAeCase, rewrites: Rewrites = "off"): Promise<Autoencoder<"asymmetric-kl">> {
  const { name, weights } = golden;
  const engine = await createRewritingEngine(rewrites);
  return opened(new Autoencoder({ name, description: descriptionOf(golden), weights, engine }));
}

const names = dcAeNames("asymmetric_kl");

describe.each(["off", "everywhere"] as const)("rewrites %s", (rewrites) => {
  test.each(names)("%s", async (name) => {
    const golden = await dcAeCases.load(name);
    const model = await modelOf(golden, rewrites);
    for (const { method, in: inputs, out } of golden.calls) {
      const [x, image, mask] = inputs.map((one) => golden.tensor(one)) as [Tensor, Tensor, Tensor];
      const expected = golden.tensor(out);
      if (method === "kl_moments") {
        const { mean, logVariance } = await model.encode(x);
        const channels = mean.shape[1] as number;
        expectClose(mean, expected.slice([undefined, { stop: channels }]), MODEL_TOLERANCE);
        expectClose(logVariance, expected.slice([undefined, { start: channels }]), MODEL_TOLERANCE);
      } else {
        const decoded = await model.decode(x, method === "kl_decode" ? {} : { image, mask });
        expectClose(decoded, expected, MODEL_TOLERANCE);
      }
    }
  });
});

test.each(["diffusers", "ldm"] as const)("files with the names of %s load, and are saved again", async (format) => {
  const golden = await dcAeCases.load("kl_asymmetric");
  const folder = await checkpointOf(golden, format);
  const options = { device: "cpu", threads: 1 } as const;
  const model = opened(await loadAutoencoder(folder, options));
  expect(model).toBeInstanceOf(AsymmetricAutoencoderKL);
  const [z, image, mask] = ["in.z", "in.x", "in.mask"].map((one) => golden.tensor(one)) as [Tensor, Tensor, Tensor];
  expectClose(await model.decode(z, { image, mask }), golden.tensor("out.masked"), MODEL_TOLERANCE);

  const saved = join(folder, "saved");
  await (model as AsymmetricAutoencoderKL).savePretrained(saved);
  expect(readFileSync(join(saved, "README.md"), "utf8")).toContain("from diffusers import AsymmetricAutoencoderKL");
  expect(readFileSync(join(saved, "README.md"), "utf8")).toContain("An asymmetric SD-VAE autoencoder with");
  const again = opened(await AsymmetricAutoencoderKL.fromPretrained(saved, options));
  expect(again.config).toEqual(model.config);
  expect((await again.decode(z)).data).toEqual((await model.decode(z)).data);
  await expect(AutoencoderKL.fromPretrained(saved, options)).rejects.toThrow("is an asymmetric SD-VAE, not an SD-VAE");
});

test("names tell it from an SD-VAE", async () => {
  const golden = await dcAeCases.load("kl_asymmetric");
  const plan = planWeights(modelParameters(descriptionOf(golden)), "asymmetric-kl-ldm");
  const ldm = plan.flatMap(({ pieces }) => pieces.map(({ name }) => name));
  expect(recognizeFormat(golden.weights.entries.keys())).toBe("asymmetric-kl-diffusers");
  expect(recognizeFormat(ldm)).toBe("asymmetric-kl-ldm");
  expect(ldm).toContain("decoder.encoder.layers.4.weight");
});

test("a picture is a mask: what is white is filled in", async () => {
  const golden = await dcAeCases.load("kl_asymmetric_even");
  const model = await modelOf(golden);
  const [z, image] = [golden.tensor("in.z"), golden.tensor("in.x")];
  const [height, width] = image.shape.slice(2) as [number, number];
  const white = (x: number) => (x % 3 === 0 ? 255 : 100);
  const pixels = Uint8Array.from({ length: 3 * height * width }, (_, i) => white(Math.floor(i / 3)));
  const mask = Tensor.float32(
    Float32Array.from({ length: height * width }, (_, i) => (white(i) === 255 ? 1 : 0)),
    [1, height, width],
  );
  const expected = await model.decode(z, { image, mask });
  expect((await model.decode(z, { image, mask: createImage(width, height, pixels) })).data).toEqual(expected.data);
  expect(relativeError(await model.decode(z), expected)).toBeGreaterThan(0.01);
});

test("what is covered of the picture doesn't count", async () => {
  const golden = await dcAeCases.load("kl_asymmetric");
  const model = await modelOf(golden);
  const [z, image, mask] = ["in.z", "in.x", "in.mask"].map((one) => golden.tensor(one)) as [Tensor, Tensor, Tensor];
  const covered = mask.toFloat32();
  const plane = (image.shape[2] as number) * (image.shape[3] as number);
  const isCovered = (i: number) => covered[Math.floor(i / (3 * plane)) * plane + (i % plane)] === 1;
  const other = Tensor.float32(
    image.toFloat32().map((value, i) => (isCovered(i) ? 0.9 - value : value)),
    image.shape,
  );
  const expected = await model.decode(z, { image, mask });
  expect((await model.decode(z, { image: other, mask })).data).toEqual(expected.data);
});

test("what doesn't fit is refused, with what would do", async () => {
  const golden = await dcAeCases.load("kl_asymmetric");
  const model = await modelOf(golden);
  const [z, image, mask] = ["in.z", "in.x", "in.mask"].map((one) => golden.tensor(one)) as [Tensor, Tensor, Tensor];
  const refusal = (options: object) =>
    model.decode(z, options).then(
      () => expect.fail("decoded"),
      (error: DcaeError) => error,
    );
  const cases: [object, abstract new (...args: never[]) => DcaeError, string][] = [
    [{ image }, ConfigError, "decode: image has no effect without the other one"],
    [{ mask }, ConfigError, "decode: mask has no effect without the other one"],
    [{ image, mask, tiling: true }, ConfigError, "goes through whole, leave out tiling"],
    [{ image, mask, maxMemory: 1e12 }, ConfigError, "goes through whole, leave out maxMemory"],
    [
      { image: Tensor.zeros([1, 3, 16, 32]), mask },
      ShapeError,
      "image has the shape [1, 3, 16, 32], but the latent gives [2, 3, 16, 32]",
    ],
    [
      { image, mask: Tensor.zeros([2, 1, 16, 16]) },
      ShapeError,
      "mask has the shape [2, 1, 16, 16], but the latent gives [2, 1, 16, 32]",
    ],
    [{ image, mask: Tensor.zeros([2, 3, 16, 32]) }, ShapeError, "decode: mask: needs [N, 1, H, W]"],
    [
      {
        image,
        mask: Tensor.float32(
          mask.toFloat32().map((v) => v * 255),
          mask.shape,
        ),
      },
      DataError,
      "the mask holds 255",
    ],
    [{ image: 5, mask }, DataError, "decode"],
    [{ imag: image, mask }, ConfigError, "imag"],
  ];
  for (const [options, type, message] of cases) {
    const error = await refusal(options);
    expect(error).toBeInstanceOf(type);
    expect(error.message).toContain(message);
  }
});

test("others don't take a mask", async () => {
  const options = { device: "cpu", threads: 1 } as const;
  const model = opened(await loadAutoencoder("small-f32", options));
  const [image, mask] = [Tensor.zeros([1, 3, 32, 32]), Tensor.zeros([1, 1, 32, 32])];
  await expect(model.decode(Tensor.zeros([1, 32, 1, 1]), { image, mask })).rejects.toThrow(
    "decode: image and mask are for models that fill in pictures, small-f32 isn't one",
  );
});

test("numbers of 8 bits: what the ranges don't say of the condition stays in float32", async () => {
  const golden = await dcAeCases.load("kl_asymmetric");
  const model = await modelOf(golden);
  const [z, image, mask] = ["in.z", "in.x", "in.mask"].map((one) => golden.tensor(one)) as [Tensor, Tensor, Tensor];
  const picture = Tensor.float32(
    Float32Array.from({ length: 3 * 64 * 64 }, (_, i) => Math.sin(i / 7)),
    [1, 3, 64, 64],
  );
  const ranges = await calibrate(model, { pictures: [picture] });
  const engine = await createEngine({ device: "cpu", threads: 1, form: { kind: "int8", ranges } });
  const { name, weights } = golden;
  const int8 = opened(new Autoencoder({ name, description: descriptionOf(golden), weights, engine }));
  const error = relativeError(await int8.decode(z, { image, mask }), golden.tensor("out.masked"));
  expect(error).toBeGreaterThan(1e-3);
  expect(error).toBeLessThan(0.5);
});
