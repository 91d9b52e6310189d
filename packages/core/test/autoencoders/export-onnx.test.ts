/** Exported ONNX files, run by ONNX Runtime as a stranger would: by path, at sizes that the export never saw. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expectClose, MODEL_TOLERANCE } from "@dcae/test-support/compare";
import { callOf, dcAeCases } from "@dcae/test-support/golden-dcae";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import * as ortWeb from "onnxruntime-web";
import { afterEach, describe, expect, test } from "vitest";
import { DataError } from "../../src/errors.js";
import { sizeOf, Tensor } from "../../src/graph/index.js";
import { loadAutoencoder } from "../../src/internal/index.js";

const folder = temporaryFolder();
const models: { dispose(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(models.splice(0).map((model) => model.dispose()));
});

let exports = 0;

async function exportGolden(name: string, options: { readonly dtype?: "float16"; readonly layout?: "optimum" } = {}) {
  const model = await loadAutoencoder(dcAeCases.path(name), { device: "cpu", threads: 1 });
  models.push(model);
  const path = join(folder, `${name}-${exports++}`);
  return { path, parts: await model.export(path, options), model };
}

async function runFile(path: string, inputName: string, x: Tensor): Promise<Tensor> {
  const session = await InferenceSession.create(path, { executionProviders: ["cpu"], intraOpNumThreads: 1 });
  const feeds = { [inputName]: new OrtTensor("float32", x.toFloat32(), [...x.shape]) };
  const [output] = Object.values(await session.run(feeds));
  await session.release();
  if (output === undefined) throw new Error("no output");
  return Tensor.float32(output.data as Float32Array, [...output.dims]);
}

describe.each(["ae_f32_in", "ae_f32_sana", "ae_f32_lite"])("%s", (name) => {
  test("one file per part serves every size of the golden case", async () => {
    const { path, parts } = await exportGolden(`${name}_diffusers`);
    expect(parts.map(({ part }) => part)).toEqual(["encoder", "decoder"]);
    expect(readdirSync(path).sort()).toEqual(["decoder.onnx", "encoder.onnx", "export.json"]);
    const golden = await dcAeCases.load(name);
    expect(golden.calls.length).toBeGreaterThan(0);
    for (const call of golden.calls) {
      const [file, input] = call.method === "encode" ? ["encoder.onnx", "x"] : ["decoder.onnx", "latent"];
      const y = await runFile(join(path, file as string), input as string, golden.tensor(call.in[0] as string));
      expectClose(y, golden.tensor(call.out), MODEL_TOLERANCE);
    }
  });
});

test("weights beyond the limit lie beside the model, and are found from there", async () => {
  const model = await loadAutoencoder(dcAeCases.path("ae_f32_sana_diffusers"), { device: "cpu", threads: 1 });
  models.push(model);
  const path = join(folder, "external");
  const [encoder] = await model.export(path, { parts: ["encoder"], maxInlineBytes: 0 });
  expect(encoder?.files).toEqual(["encoder.onnx_data", "encoder.onnx"]);
  expect(readdirSync(path).sort()).toEqual(["encoder.onnx", "encoder.onnx_data", "export.json"]);
  const golden = await dcAeCases.load("ae_f32_sana");
  const { x, y } = callOf(golden, "encode");
  expectClose(await runFile(join(path, "encoder.onnx"), "x", x), y, MODEL_TOLERANCE);
});

test("onnxruntime-web runs the exported file", async () => {
  const { path } = await exportGolden("ae_f64_in_diffusers");
  ortWeb.env.wasm.numThreads = 1;
  const session = await ortWeb.InferenceSession.create(readFileSync(join(path, "decoder.onnx")));
  const golden = await dcAeCases.load("ae_f64_in");
  const { x: z, y } = callOf(golden, "decode");
  const { picture } = await session.run({ latent: new ortWeb.Tensor("float32", z.toFloat32(), [...z.shape]) });
  if (picture === undefined) throw new Error("no output");
  expectClose(Tensor.float32(picture.data as Float32Array, [...picture.dims]), y, MODEL_TOLERANCE);
});

test("SD-VAE exports moments", async () => {
  const { path } = await exportGolden("kl_f8_hub_old_names");
  const golden = await dcAeCases.load("kl_f8");
  const { x, y } = callOf(golden, "kl_moments");
  expectClose(await runFile(join(path, "encoder.onnx"), "x", x), y, MODEL_TOLERANCE);
});

describe("the layout of Optimum", () => {
  test.each([
    {
      name: "ae_f64_in",
      saved: "ae_f64_in_diffusers",
      className: "AutoencoderDC",
      output: "latent_sample",
      method: "encode",
    },
    {
      name: "kl_f8",
      saved: "kl_f8_hub_old_names",
      className: "AutoencoderKL",
      output: "latent_parameters",
      method: "kl_moments",
    },
  ] as const)("$className", async ({ name, saved, className, output, method }) => {
    const { path, parts } = await exportGolden(saved, { layout: "optimum" });
    expect(parts.map(({ files }) => files)).toEqual([["vae_encoder/model.onnx"], ["vae_decoder/model.onnx"]]);
    for (const part of ["vae_encoder", "vae_decoder"]) {
      expect(readdirSync(join(path, part)).sort()).toEqual(["config.json", "model.onnx"]);
      expect(JSON.parse(readFileSync(join(path, part, "config.json"), "utf8"))._class_name).toBe(className);
    }
    const names = async (part: string) => {
      const session = await InferenceSession.create(join(path, part, "model.onnx"), { executionProviders: ["cpu"] });
      const { inputNames, outputNames } = session;
      await session.release();
      return [inputNames, outputNames];
    };
    expect(await names("vae_encoder")).toEqual([["sample"], [output]]);
    expect(await names("vae_decoder")).toEqual([["latent_sample"], ["sample"]]);
    const { x, y } = callOf(await dcAeCases.load(name), method);
    expectClose(await runFile(join(path, "vae_encoder", "model.onnx"), "sample", x), y, MODEL_TOLERANCE);
  });

  test("large weights lie beside the model in its folder, and the folder can be written again", async () => {
    const { path, model } = await exportGolden("ae_f64_in_diffusers", { layout: "optimum" });
    const options = { layout: "optimum", parts: ["decoder"], maxInlineBytes: 0, overwrite: true } as const;
    const [decoder] = await model.export(path, options);
    expect(decoder?.files).toEqual(["vae_decoder/model.onnx_data", "vae_decoder/model.onnx"]);
    expect(readdirSync(path).sort()).toEqual(["export.json", "vae_decoder"]);
  });
});

test("batches of any size", async () => {
  const { path, model } = await exportGolden("ae_f64_in_diffusers");
  if (model.kind !== "dc-ae") throw new Error("expected a DC-AE");
  const { compression, config } = model;
  const shape = [3, config.inChannels, compression, 2 * compression];
  const x = Tensor.float32(
    Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(i)),
    shape,
  );
  const latent = await runFile(join(path, "encoder.onnx"), "x", x);
  expect(latent.shape.slice(0, 1)).toEqual([3]);
  for (const n of [0, 1, 2]) {
    expectClose(latent.slice([{ start: n, stop: n + 1 }]), await model.encode(x.row(n)), MODEL_TOLERANCE);
  }
});

describe("float16", () => {
  test.each(["ae_f32_in_diffusers", "ae_f32_sana_diffusers", "ae_f64_in_diffusers"])(
    "%s: inputs and outputs stay float32, the weights halve",
    async (name) => {
      const half = await exportGolden(name, { dtype: "float16" });
      const weights = (path: string) => readFileSync(join(path, "encoder.onnx")).byteLength;
      const full = readFileSync(dcAeCases.path(`${name}/diffusion_pytorch_model.safetensors`)).byteLength;
      expect(weights(half.path)).toBeLessThan(full);
      for (const { difference } of half.parts) {
        expect(difference).toBeGreaterThan(0);
        expect(difference).toBeLessThan(5e-2);
      }
    },
  );
});

test("the metadata says what the file is", async () => {
  const { path } = await exportGolden("ae_f128_in_diffusers");
  const summary = JSON.parse(readFileSync(join(path, "export.json"), "utf8"));
  const compression = `${dcAeCases.info("ae_f128_in").spatial_compression_ratio}`;
  expect(summary).toMatchObject({ kind: "dc-ae", compression, opset: 20, dtype: "float32" });
});

test("an occupied folder is left alone", async () => {
  const model = await loadAutoencoder(dcAeCases.path("ae_f128_in_diffusers"), { device: "cpu", threads: 1 });
  models.push(model);
  await expect(model.export(dcAeCases.path("ae_f128_in_diffusers"))).rejects.toBeInstanceOf(DataError);
  expect(existsSync(dcAeCases.path("ae_f128_in_diffusers/encoder.onnx"))).toBe(false);
});
