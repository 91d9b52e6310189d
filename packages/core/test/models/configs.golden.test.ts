/** Configurations of the golden cases and of every published model, in both formats. */
import { readFileSync } from "node:fs";
import { dcAeCases, dcAeNames, dcAeSnapshots, officialConfigOf } from "@dcae/test-support/golden-dcae";
import { describe, expect, test } from "vitest";
import { parseDiffusersConfig, toDiffusersConfig } from "../../src/models/dc-ae/diffusers-config.js";
import { parseOfficialConfig, toOfficialConfig } from "../../src/models/dc-ae/official-config.js";
import { PRESETS } from "../../src/models/families.js";
import { getPreset } from "../../src/models/model-description.js";
import { parseLdmConfig, toLdmConfig } from "../../src/models/sd-vae/ldm-config.js";
import { parseKlConfig, toKlConfig } from "../../src/models/sd-vae/sd-vae-config.js";
import { architectureOf, manifest } from "../support/manifest.js";

/** Keys of a file that describe the model: what the reference lists in `diffusers_config`. */
function described(file: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const ours = ["scaling_factor", "encoder_out_adaptive", "decoder_in_adaptive"];
  return Object.fromEntries(Object.entries(file).filter(([key]) => !key.startsWith("_") && !ours.includes(key)));
}

function readJson(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(dcAeCases.path(path), "utf8"));
}

describe.each(dcAeNames("autoencoder"))("%s", (name) => {
  const golden = dcAeCases.info(name);
  const official = officialConfigOf(golden);
  const config = parseOfficialConfig(official);

  test("the official form survives reading and writing", () => {
    expect(toOfficialConfig(config)).toEqual(official);
  });

  test("the diffusers form is the reference's", () => {
    expect(described(toDiffusersConfig(config, 1))).toEqual(golden.diffusers_config);
    expect(parseDiffusersConfig(toDiffusersConfig(config, 0.5))).toEqual({ config, scalingFactor: 0.5 });
  });
});

describe.each(dcAeSnapshots())("%s_diffusers", (name) => {
  test("config.json, written by the library, reads as the official configuration", () => {
    const file = readJson(`${name}_diffusers/config.json`);
    const parsed = parseDiffusersConfig(file);
    expect(parsed.config).toEqual(parseOfficialConfig(officialConfigOf(dcAeCases.info(name))));
    expect(parsed.scalingFactor).toBe(file.scaling_factor);
    const { _diffusers_version, ...rest } = file;
    expect(toDiffusersConfig(parsed.config, parsed.scalingFactor)).toEqual(rest);
  });
});

describe.each(Object.keys(manifest.presets))("preset %s", (name) => {
  const preset = getPreset(name);
  const architecture = architectureOf(name);

  test("has the reference's configuration in both formats, and its numbers", () => {
    if (preset.kind !== "dc-ae") throw new Error("not a DC-AE");
    expect(toOfficialConfig(preset.config)).toEqual({ ...architecture.official_config, head_dim: 32 });
    expect(described(toDiffusersConfig(preset.config, 1))).toEqual(architecture.diffusers_config);
    expect(parseOfficialConfig(architecture.official_config)).toEqual(preset.config);
    expect(preset.scalingFactor).toBe(manifest.presets[name]?.scaling_factor);
    expect(preset.parameters).toEqual(architecture.params);
  });
});

test("every DC-AE preset is in the reference's list", () => {
  const names = PRESETS.filter(({ kind }) => kind === "dc-ae").map(({ name }) => name);
  expect(names.sort()).toEqual(Object.keys(manifest.presets).sort());
});

describe("SD-VAE", () => {
  test.each(["sd-vae-ft-ema", "sd-vae-ft-mse"])("%s has the reference's configuration and numbers", (name) => {
    const preset = getPreset(name);
    if (preset.kind !== "sd-vae") throw new Error("not an SD-VAE");
    const { encoder, decoder, total } = manifest.sd_vae.params;
    expect(parseKlConfig(manifest.sd_vae.config)).toEqual({
      config: preset.config,
      scalingFactor: preset.scalingFactor,
      shiftFactor: null,
    });
    expect(described(toKlConfig(preset.config, preset))).toEqual(described(manifest.sd_vae.config));
    expect(preset.parameters).toEqual({ encoder, decoder, total });
  });

  test("attention inside levels, in both forms", () => {
    const { config, official_config } = dcAeCases.info("kl_f4_attention") as unknown as Record<string, object>;
    const parsed = parseKlConfig(config);
    expect(parseLdmConfig(official_config)).toEqual(parsed.config);
    expect(toLdmConfig(parsed.config)).toEqual(official_config);
    expect(toKlConfig(parsed.config, parsed)).toEqual({ _class_name: "AutoencoderKL", ...config });
  });

  test("a config.json of 2022 has the default scaling factor", () => {
    const file = readJson("kl_f8_hub_old_names/config.json");
    expect(file).not.toHaveProperty("scaling_factor");
    expect(parseKlConfig(file).config).toEqual(parseKlConfig(dcAeCases.info("kl_f8").config).config);
    expect(parseKlConfig(file).scalingFactor).toBe(0.18215);
  });
});
