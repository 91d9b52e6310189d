import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/errors.js";
import { readModelConfig, toModelConfigFile } from "../../src/models/model-description.js";
import { errorOf } from "../support/error-of.js";

describe("config.json of any format", () => {
  test("an official file names a preset, or holds a configuration of its own", () => {
    const named = readModelConfig({ model_name: "dc-ae-f64c128-in-1.0" });
    expect(named).toMatchObject({
      kind: "dc-ae",
      preset: "dc-ae-f64c128-in-1.0",
      scalingFactor: 0.2889,
      shiftFactor: null,
    });
    expect(toModelConfigFile(named, "official")).toEqual({ model_name: "dc-ae-f64c128-in-1.0" });
    expect(toModelConfigFile({ ...named, scalingFactor: 0.5 }, "official")).toEqual({
      model_name: "dc-ae-f64c128-in-1.0",
      scaling_factor: 0.5,
    });
    expect(readModelConfig({ model_name: "dc-ae-f64c128-in-1.0", scaling_factor: 0.5 })).toEqual({
      ...named,
      scalingFactor: 0.5,
    });

    const unknownScale = { ...named, scalingFactor: null };
    expect(readModelConfig(toModelConfigFile(unknownScale, "official"))).toEqual({
      kind: "dc-ae",
      config: named.config,
      scalingFactor: null,
      shiftFactor: null,
    });
  });

  test.each<[unknown, string]>([
    [null, "c.json: is null but must be an object"],
    [{}, "c.json: not the configuration of an autoencoder"],
    [
      { _class_name: "UNet2DModel" },
      'c.json: _class_name is "UNet2DModel" but must be "AutoencoderDC" or "AutoencoderKL"',
    ],
    [
      { model_name: "dc-ae-f32c32-in-2.0" },
      'unknown preset "dc-ae-f32c32-in-2.0"; did you mean "dc-ae-f32c32-in-1.0"?',
    ],
    [{ model_name: 5 }, "c.json: model_name is 5 but must be a string"],
    [{ config: { latent_channels: 0 } }, "c.json: config: latent_channels is 0 but must be a positive integer"],
    [
      { model_name: "dc-ae-f32c32-in-1.0", scaling_factor: 0 },
      "c.json: scaling_factor is 0 but must be a positive number",
    ],
  ])("%j is refused", (json, message) => {
    expect(errorOf(ConfigError, () => readModelConfig(json, "c.json")).message).toContain(message);
  });

  test("SD-VAE has both forms, with the shift", () => {
    const flux = readModelConfig({ model_name: "flux.1-vae" });
    expect(flux).toMatchObject({ kind: "sd-vae", preset: "flux.1-vae", scalingFactor: 0.3611, shiftFactor: 0.1159 });
    expect(toModelConfigFile(flux, "official")).toEqual({ model_name: "flux.1-vae" });
    const { preset: _, ...plain } = flux;
    for (const shiftFactor of [0.25, null]) {
      for (const format of ["official", "diffusers"] as const) {
        const file = toModelConfigFile({ ...plain, shiftFactor }, format);
        expect(readModelConfig(JSON.parse(JSON.stringify(file)))).toEqual({ ...plain, shiftFactor });
      }
    }
    expect(toModelConfigFile({ ...flux, shiftFactor: 0.25 }, "official")).toMatchObject({
      model_name: "flux.1-vae",
      shift_factor: 0.25,
    });
    // Its name would bring the shift back.
    expect(toModelConfigFile({ ...flux, shiftFactor: null }, "official")).toMatchObject({
      family: "sd-vae",
      scaling_factor: 0.3611,
    });
    expect(
      errorOf(ConfigError, () => readModelConfig({ model_name: "flux.1-vae", shift_factor: "a" })).message,
    ).toContain('shift_factor is "a" but must be a number');
  });

  test("the autoencoder that fills in pictures is refused by name", () => {
    const { message } = errorOf(ConfigError, () =>
      readModelConfig({ _class_name: "AsymmetricAutoencoderKL" }, "c.json"),
    );
    expect(message).toBe(
      "c.json: is an AsymmetricAutoencoderKL, which isn't supported: its decoder fills in pictures, and takes the picture and a mask besides the latent",
    );
  });
});
