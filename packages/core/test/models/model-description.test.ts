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
      'c.json: _class_name is "UNet2DModel" but must be "AutoencoderDC" or "AutoencoderKL" or "AsymmetricAutoencoderKL"',
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

  describe("asymmetric SD-VAE", () => {
    const file = (change: object) => ({
      _class_name: "AsymmetricAutoencoderKL",
      down_block_types: ["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
      down_block_out_channels: [32, 64],
      up_block_types: ["AttnUpDecoderBlock2D", "UpDecoderBlock2D"],
      up_block_out_channels: [64, 128],
      ...change,
    });

    test("levels, what the class adds to its files, and its defaults", () => {
      const model = readModelConfig(
        file({ block_out_channels: [64, 128], force_upcast: false, layers_per_up_block: 3 }),
      );
      expect(model).toEqual({
        kind: "asymmetric-kl",
        config: {
          inChannels: 3,
          outChannels: 3,
          latentChannels: 4,
          encoder: { blockOutChannels: [32, 64], layersPerBlock: 1, attentionLevels: [1] },
          decoder: { blockOutChannels: [64, 128], layersPerBlock: 3, attentionLevels: [1] },
          normNumGroups: 32,
          act: "silu",
          sampleSize: 32,
        },
        scalingFactor: 0.18215,
        shiftFactor: null,
      });
      expect(readModelConfig(toModelConfigFile(model, "diffusers"))).toEqual(model);
    });

    test.each([
      [{ layers_per_up_block: 0 }, "layers_per_up_block is 0 but must be a positive integer"],
      [{ down_block_out_channels: [32, 60] }, "down_block_out_channels[1] is 60 but must be a multiple of the 32"],
      [
        { up_block_types: ["UpDecoderBlock2D"] },
        "up_block_types has 1 entry but must have 2, one per entry of up_block",
      ],
      [
        { up_block_out_channels: [64, 128, 128], up_block_types: Array(3).fill("UpDecoderBlock2D") },
        "down_block_out_channels has 2 levels and up_block_out_channels 3, but both must have as many",
      ],
      [{ up_block_out_channels: [32, 256] }, "up_block_out_channels is [32,256] but must double"],
      [{ up_block_out_channels: [128, 64] }, "up_block_out_channels is [128,64] but must double"],
      [
        {
          down_block_out_channels: Array(5).fill(32),
          down_block_types: Array(5).fill("DownEncoderBlock2D"),
          up_block_out_channels: Array(5).fill(32),
          up_block_types: Array(5).fill("UpDecoderBlock2D"),
        },
        "up_block_out_channels has 5 levels but must have at most 4",
      ],
      [{ out_channels: 4 }, "in_channels is 3 and out_channels 4"],
      [{ shift_factor: 1 }, "shift_factor isn't a known option"],
    ])("%j is refused", (change, message) => {
      expect(errorOf(ConfigError, () => readModelConfig(file(change), "c.json")).message).toContain(message);
    });

    test("what the class can't express isn't written", () => {
      const model = readModelConfig(file({}));
      const shifted = errorOf(ConfigError, () => toModelConfigFile({ ...model, shiftFactor: 1 }, "diffusers"));
      expect(shifted.message).toContain("the shift of the latents is 1");
      expect(errorOf(ConfigError, () => toModelConfigFile(model, "official")).message).toContain(
        "diffusers format only",
      );
    });
  });
});
