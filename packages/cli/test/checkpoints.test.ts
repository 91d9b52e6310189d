/** `dcae init`, `convert` and `export`. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type AutoencoderDC, loadAutoencoder, Tensor } from "@dcae/core";
import { initialWeights, openSafetensorsFile } from "@dcae/core/checkpoint";
import { openCheckpoint } from "@dcae/core/internal";
import { modelParameters } from "@dcae/core/models";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, test } from "vitest";
import { failWith, succeed } from "./support/cli.js";
import { makePicture } from "./support/pictures.js";
import { makeDenoiser } from "./support/tiny-denoisers.js";
import { makeModel, TINY_CONFIG, TINY_KL_CONFIG } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const read = (...names: string[]) => readFileSync(at(...names));

/** With a scaling factor, because the diffusers format has no way to say that there is none. */
const CONFIG = { config: TINY_CONFIG, scaling_factor: 0.25 };

let m: string;
beforeAll(async () => {
  m = await makeModel(folder, "model", CONFIG);
});

describe("init", () => {
  test("writes the initial weights of the seed, in either format", async () => {
    const diffusers = await makeModel(folder, "diffusers", CONFIG, "--format", "diffusers");
    expect(readdirSync(m).sort()).toEqual(["README.md", "config.json", "model.safetensors"]);
    expect(readdirSync(diffusers).sort()).toEqual(["README.md", "config.json", "diffusion_pytorch_model.safetensors"]);
    const [official, other] = [await openCheckpoint(m), await openCheckpoint(diffusers)];
    expect(other.model).toEqual(official.model);
    const expected = initialWeights(modelParameters(official.model), 7);
    for (const [name, entry] of expected.entries) {
      const { data } = await entry.read();
      expect((await official.weights.entries.get(name)?.read())?.data, name).toEqual(data);
      expect((await other.weights.entries.get(name)?.read())?.data, name).toEqual(data);
    }
    await official.weights.close();
    await other.weights.close();
  });

  test("with a model card, as the hub shows it; what somebody wrote stays", async () => {
    const card = read("model", "README.md").toString("utf8");
    expect(card).toMatch(/^---\nlibrary_name: dcae\ntags:\n- autoencoder\n- dc-ae\n---\n\n# /);
    expect(card).toContain("`(latent - 0) * 0.25`");
    expect(card).toContain('AutoencoderDC.fromPretrained(".")');
    expect(read("diffusers", "README.md").toString("utf8")).toContain("from diffusers import AutoencoderDC");
  });

  test("the same seed gives the same bytes, another seed others", async () => {
    const again = await makeModel(folder, "again", CONFIG);
    expect(read("again", "model.safetensors").equals(read("model", "model.safetensors"))).toBe(true);
    await succeed("init", "--config", at("again-config.json"), "--seed", "8", "-o", again, "--overwrite");
    expect(read("again", "model.safetensors").equals(read("model", "model.safetensors"))).toBe(false);
  });

  test("doesn't touch a folder that isn't empty, except with --overwrite, which leaves other files", async () => {
    mkdirSync(at("full"));
    writeFileSync(at("full", "README.md"), "mine");
    const argv = ["init", "--config", at("model-config.json"), "-o", at("full")];
    expect(await failWith(1, ...argv)).toContain(`${at("full")}: can't write: the folder isn't empty`);
    expect(readdirSync(at("full"))).toEqual(["README.md"]);
    await succeed(...argv, "--overwrite");
    expect(readdirSync(at("full")).sort()).toEqual(["README.md", "config.json", "model.safetensors"]);
    expect(read("full", "README.md").toString("utf8")).toBe("mine");
  });

  test.each([
    ["{", "isn't valid JSON"],
    ["[]", "isn't a JSON object"],
    ['{"latent_channels": 0}', "latent_channels is 0 but must be a positive integer"],
    ['{"latent_channels": 8, "depth": 3}', "isn't a known option"],
    ['{"latentChannels": 8, "encoder": {"widthList": "wide"}}', "widthList"],
    ['{"_class_name": "UNet2DModel"}', "_class_name"],
  ])("a config of %s", async (text, message) => {
    writeFileSync(at("bad.json"), text);
    const line = await failWith(1, "init", "--config", at("bad.json"), "-o", at("bad"));
    expect(line).toContain(at("bad.json"));
    expect(line).toContain(message);
    expect(existsSync(at("bad"))).toBe(false);
  });
});

describe("convert", () => {
  test("there and back gives the same bytes", async () => {
    await succeed("convert", "--from", m, "--to", at("there"), "--format", "diffusers");
    expect(JSON.parse(read("there", "config.json").toString())._class_name).toBe("AutoencoderDC");
    const text = await succeed("convert", "--from", at("there"), "--to", at("back"), "--format", "official");
    expect(text).toContain("official format, from");
    expect(read("back", "model.safetensors").equals(read("model", "model.safetensors"))).toBe(true);
    expect(read("back", "config.json").equals(read("model", "config.json"))).toBe(true);
  });

  test("--dtype, and in place with --overwrite", async () => {
    const copy = await makeModel(folder, "copy");
    const argv = ["convert", "--from", copy, "--to", copy, "--format", "official", "--dtype", "bfloat16"];
    expect(await failWith(1, ...argv)).toContain("isn't empty");
    const result = JSON.parse(await succeed(...argv, "--overwrite", "--json"));
    expect(result).toMatchObject({ fromFormat: "official", format: "official", dtype: "bfloat16" });
    const file = await openSafetensorsFile(join(copy, "model.safetensors"));
    expect(file.entries.get("encoder.project_in.conv.conv.weight")?.dtype).toBe("bfloat16");
    await file.close();
    await succeed("encode", await makePicture(folder, "p.png"), "-m", copy, "-o", at("p.npy"));
  });

  test("an SD-VAE with attention in its levels and a shift, to the official names and back", async () => {
    const kl = await makeModel(folder, "kl", {
      ...TINY_KL_CONFIG,
      down_block_types: TINY_KL_CONFIG.down_block_types.map((_, i) =>
        i === 0 ? "AttnDownEncoderBlock2D" : "DownEncoderBlock2D",
      ),
      shift_factor: 0.5,
    });
    await succeed("convert", "--from", kl, "--to", at("kl-official"), "--format", "official");
    const config = JSON.parse(read("kl-official", "config.json").toString());
    expect(config).toMatchObject({ family: "sd-vae", shift_factor: 0.5 });
    expect(config.config.encoder.attn_resolutions).toEqual([TINY_KL_CONFIG.sample_size]);
    const file = await openSafetensorsFile(at("kl-official/model.safetensors"));
    expect(file.entries.has("encoder.down.0.attn.0.proj_out.weight")).toBe(true);
    await file.close();
    await succeed("convert", "--from", at("kl-official"), "--to", at("kl2"), "--format", "diffusers");
    const weights = "diffusion_pytorch_model.safetensors";
    expect(readFileSync(join(at("kl2"), weights))).toEqual(readFileSync(join(kl, weights)));
    expect(readFileSync(join(at("kl2"), "config.json"))).toEqual(readFileSync(join(kl, "config.json")));
    expect(await succeed("info", at("kl-official"))).toMatch(/shift factor +0\.5/);
  });
});

describe("export", () => {
  test("writes both parts, verified, and says so", async () => {
    const text = await succeed("export", "-m", m, "-o", at("onnx"));
    expect(readdirSync(at("onnx")).sort()).toEqual(["decoder.onnx", "encoder.onnx", "export.json"]);
    expect(text).toMatch(/^encoder: .*encoder\.onnx \(largest difference from the model \d\.\de-\d/);
    expect(await failWith(1, "export", "-m", m, "-o", at("onnx"))).toContain("isn't empty");
  });

  test("--parts, --dtype, --overwrite, --json", async () => {
    const argv = ["export", "-m", m, "-o", at("onnx"), "--parts", "decoder", "--dtype", "float16"];
    const result = JSON.parse(await succeed(...argv, "--overwrite", "--json"));
    expect(result).toMatchObject({ model: m, dtype: "float16", parts: [{ part: "decoder", files: ["decoder.onnx"] }] });
    expect(readdirSync(at("onnx")).sort()).toEqual(["decoder.onnx", "export.json"]);
  });
});

test("the model still computes what the library computes after all conversions", async () => {
  const outputs: number[][] = [];
  for (const path of [m, at("there"), at("back")]) {
    const model = (await loadAutoencoder(path, { device: "cpu" })) as AutoencoderDC;
    const x = Tensor.full([1, 3, 8, 8], 0.5);
    outputs.push(Array.from((await model.encode(x)).toFloat32()));
    await model.dispose();
  }
  expect(outputs[1]).toEqual(outputs[0]);
  expect(outputs[2]).toEqual(outputs[0]);
});

describe("diffusion export", () => {
  test("writes a denoiser with what its samplers must know, and says so", async () => {
    const denoiser = await makeDenoiser(folder, "denoiser", { shiftFactor: 2, noisy: true });
    const text = await succeed("diffusion", "export", "-m", denoiser, "-o", at("denoiser-onnx"), "--threads", "1");
    expect(text).toMatch(/^denoiser: .*denoiser\.onnx \(largest difference from the model \d\.\de-\d/);
    const { config } = JSON.parse(read("denoiser-onnx", "export.json").toString());
    expect(config).toEqual(JSON.parse(read("denoiser", "config.json").toString()));
    const argv = ["diffusion", "export", "-m", denoiser, "-o", at("denoiser-onnx"), "--threads", "1"];
    expect(await failWith(1, ...argv)).toContain("isn't empty");
    const half = JSON.parse(await succeed(...argv, "--dtype", "float16", "--overwrite", "--json"));
    expect(half).toMatchObject({ model: denoiser, dtype: "float16", files: ["denoiser.onnx"] });
  });
});
