/** `dcae info`, from a name, a configuration, a checkpoint. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PRESETS } from "@dcae/core";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { describe, expect, test } from "vitest";
import { failWith, succeed } from "./support/cli.js";
import { ADAPTIVE_CONFIG, makeModel, TINY_CONFIG, TINY_KL_CONFIG } from "./support/tiny-models.js";

const folder = temporaryFolder();

describe("published models, without weights or network", () => {
  test.each(PRESETS.map((preset) => [preset.name, preset] as const))("%s", async (name, preset) => {
    const info = JSON.parse(await succeed("info", name, "--json"));
    const { encoder, decoder, total } = preset.parameters;
    expect(info.parameters).toMatchObject({ encoder, decoder, total });
    expect(info.macs.encode / 1e9).toBeCloseTo(preset.gmacs[512].encode, 1);
    expect(info.macs.decode / 1e9).toBeCloseTo(preset.gmacs[512].decode, 1);
    const [, named] = /-f(\d+)/.exec(name) ?? [];
    const side = 512 / Number(named ?? (name === "taesana" ? 32 : 8));
    expect(info.latentShape).toEqual([1, preset.config.latentChannels, side, side]);
    expect(info).toMatchObject({ name, preset: name, hubId: preset.hubId, scalingFactor: preset.scalingFactor });
  });

  test("as text, by the name on the hub, at another size", async () => {
    const text = await succeed("info", "mit-han-lab/dc-ae-f64c128-in-1.0", "--size", "1024x768");
    expect(text).toContain("264,550,528 parameters");
    expect(text).toContain("676,896,140 parameters");
    expect(text).toMatch(/at 1024x768 +latent \[1, 128, 12, 16\]/);
    expect(text).toContain("0.2889");
    expect(text).toContain("  encoder\n    width_list [128,256,512,512,1024,1024,2048]");
  });
});

test("a configuration file", async () => {
  const path = join(folder, "config.json");
  writeFileSync(path, JSON.stringify(TINY_CONFIG));
  const info = JSON.parse(await succeed("info", path, "--size", "32", "--json"));
  expect(info).toMatchObject({ kind: "dc-ae", compression: 4, latentShape: [1, 8, 8, 8], scalingFactor: null });
  expect(info.checkpoint).toBeUndefined();
  expect(await failWith(2, "info", path, "--revision", "main")).toContain("--revision has no effect");
});

test("a configuration with the names of @dcae/core", async () => {
  const path = join(folder, "camel.json");
  writeFileSync(path, JSON.stringify({ latentChannels: 8, encoder: { widthList: [8, 16], depthList: [0, 1] } }));
  expect(await failWith(1, "info", path)).toContain(`${path}: DC-AE config: `);
});

test.each([
  ["official", "official"],
  ["diffusers", "diffusers"],
])("a checkpoint in the %s format", async (format, recognized) => {
  const model = await makeModel(folder, `info-${format}`, TINY_CONFIG, "--format", format, "--dtype", "float16");
  const info = JSON.parse(await succeed("info", model, "--size", "64x32", "--json"));
  expect(info).toMatchObject({ compression: 4, latentChannels: 8, pictureShape: [1, 3, 32, 64], adaptive: false });
  expect(info.checkpoint).toMatchObject({ format: recognized, dtypes: ["float16", "int64"] });
  expect(await succeed("info", model)).toContain(`${recognized} format`);
});

test("an adaptive model and an SD-VAE", async () => {
  const adaptive = await makeModel(folder, "info-adaptive", ADAPTIVE_CONFIG);
  expect(JSON.parse(await succeed("info", adaptive, "--json"))).toMatchObject({ adaptive: true });
  expect(await succeed("info", adaptive)).toContain("to 8 channels or fewer");
  const kl = await makeModel(folder, "info-kl", TINY_KL_CONFIG);
  const text = await succeed("info", kl, "--size", "16");
  expect(text).toMatch(/kind +SD-VAE/);
  expect(text).toContain("latent [1, 4, 8, 8]");
});

test.each([
  ["dc-ae-f32c32-in-9", "no such file or folder, and unknown preset"],
  ["./nothing/here", "no such file or folder"],
])("%s", async (name, message) => expect(await failWith(1, "info", name)).toContain(message));

test("a size that the model can't take", async () => {
  expect(await failWith(2, "info", "dc-ae-f64c128-in-1.0", "--size", "100")).toContain("multiples of 64");
});

test("one half of a tiny autoencoder, and both", async () => {
  const tiny = fileURLToPath(new URL("../../core/test/golden/tiny/taesana_narrow", import.meta.url));
  const half = JSON.parse(await succeed("info", `${tiny}_decoder.pth`, "--json"));
  expect(half).toMatchObject({ kind: "tiny", compression: 32, latentChannels: 6, parameters: { encoder: 0 } });
  expect(half.macs.encode).toBeNull();
  const text = await succeed("info", `${tiny}_encoder.pth`);
  expect(text).toMatch(/encode .+MACs, decode not in the checkpoint/);
  const both = JSON.parse(await succeed("info", tiny, "--json"));
  expect(both.parameters.decoder).toBe(half.parameters.decoder);
  expect(both.checkpoint).toMatchObject({ format: "taesd", dtypes: ["float16"] });
});
