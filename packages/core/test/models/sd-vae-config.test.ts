import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/errors.js";
import { getPreset } from "../../src/models/model-description.js";
import { parseLdmConfig, toLdmConfig } from "../../src/models/sd-vae/ldm-config.js";
import {
  parseKlConfig,
  resolveSdVaeConfig,
  type SdVaeConfigInput,
  toKlConfig,
} from "../../src/models/sd-vae/sd-vae-config.js";
import { errorOf } from "../support/error-of.js";

describe("SD-VAE", () => {
  test("errors name the field", () => {
    expect(errorOf(ConfigError, () => resolveSdVaeConfig({ blockOutChannels: [128, 100] })).message).toBe(
      "SD-VAE config: blockOutChannels[1] is 100 but must be a multiple of the 32 normalization groups",
    );
    expect(errorOf(ConfigError, () => resolveSdVaeConfig({ latentChannels: 0 })).message).toContain(
      "latentChannels is 0 but must be",
    );
  });

  test.each<[unknown, string]>([
    [
      { down_block_types: ["CrossAttnDownBlock2D"] },
      'down_block_types[0] is "CrossAttnDownBlock2D" but must be "DownEncoderBlock2D" or "AttnDownEncoderBlock2D"',
    ],
    [
      { block_out_channels: [32, 64] },
      "down_block_types has 1 entry but must have 2, one per entry of block_out_channels",
    ],
    [{ block_out_channels: [30] }, "block_out_channels[0] is 30 but must be a multiple of the 32 normalization groups"],
    [{ latents_mean: [0, 0, 0, 0] }, "latents_mean is [0,0,0,0] but must be null"],
    [{ act_fn: "tanh" }, 'act_fn is "tanh" but must be one of'],
    [{ layers_per_block: [2, 2] }, "layers_per_block is [2,2] but must be a positive integer"],
  ])("%j is refused", (json, message) => {
    expect(errorOf(ConfigError, () => parseKlConfig(json, "config.json")).message).toContain(`config.json: ${message}`);
  });

  test("attention is in levels that are there, in ascending order", () => {
    expect(errorOf(ConfigError, () => resolveSdVaeConfig({ encoderAttentionLevels: [4] })).message).toBe(
      "SD-VAE config: encoderAttentionLevels is [4] but must be ascending levels of at most 3",
    );
    expect(errorOf(ConfigError, () => resolveSdVaeConfig({ decoderAttentionLevels: [2, 1] })).message).toContain(
      "decoderAttentionLevels is [2,1]",
    );
  });

  test("diffusers counts the decoder's levels from the deepest", () => {
    const up = ["AttnUpDecoderBlock2D", "UpDecoderBlock2D"];
    const down = ["DownEncoderBlock2D", "DownEncoderBlock2D"];
    const { config } = parseKlConfig({ block_out_channels: [32, 64], up_block_types: up, down_block_types: down });
    expect(config).toMatchObject({ encoderAttentionLevels: [], decoderAttentionLevels: [1] });
    expect(toKlConfig(config, { scalingFactor: 1 })).toMatchObject({ up_block_types: up, down_block_types: down });
  });
});

describe("the official form", () => {
  const halves = (encoder: object, decoder: object = encoder) => ({ encoder, decoder });

  test("the authors' configurations are the presets", () => {
    const f32 = { ch_mult: [1, 1, 2, 2, 4, 4], attn_resolutions: [16, 8] };
    const f16 = { ch_mult: [1, 1, 2, 2, 4], attn_resolutions: [16] };
    expect(parseLdmConfig({ latent_channels: 64, ...halves(f32) })).toEqual(getPreset("sd-vae-f32").config);
    expect(parseLdmConfig({ latent_channels: 16, ...halves(f16) })).toEqual(getPreset("sd-vae-f16").config);
    const mar = { latent_channels: 16, ...halves(f16, { ...f16, attn_resolutions: [] }) };
    expect(parseLdmConfig(mar)).toEqual(getPreset("mar-vae-f16").config);
    expect(parseLdmConfig({ latent_channels: 32, ...halves(f16) })).toEqual(
      getPreset("vavae-imagenet256-f16d32-dinov2").config,
    );
    const f8 = { latent_channels: 4, attn_mode: "flash", ...halves({ ch_mult: [1, 2, 4, 4] }) };
    expect(parseLdmConfig(f8)).toEqual(getPreset("sd-vae-ft-ema").config);
  });

  test.each<[object, string]>([
    [halves({ ch_mult: [2, 4] }), "encoder.ch_mult[0] is 2 but must be 1"],
    [halves({ ch: 64 }, { ch: 32 }), "ch is 64 in the encoder and 32 in the decoder"],
    [halves({ attn_resolutions: [100] }), "encoder.attn_resolutions has 100, but no level has that side at 256 pixels"],
    [{ decoder: { tanh_out: true } }, "decoder.tanh_out is true but must be false"],
    [{ encoder: { double_z: false } }, "encoder.double_z is false but must be true"],
    [{ z_channels: 4 }, "z_channels isn't a known option"],
  ])("%j is refused", (json, message) => {
    expect(errorOf(ConfigError, () => parseLdmConfig(json, "c")).message).toContain(message);
  });

  test.each<[SdVaeConfigInput, string]>([
    [{ act: "relu" }, 'act is "relu"'],
    [{ midBlockAddAttention: false }, "the middle has no attention"],
    [{ useQuantConv: false }, "only one of the two 1x1 convolutions"],
    [{ blockOutChannels: [64, 96] }, "a level has 96 channels"],
    [{ sampleSize: 4, decoderAttentionLevels: [3] }, "level 3 has attention, but no side of its own at 4 pixels"],
  ])("%j can't be written", (input, message) => {
    expect(errorOf(ConfigError, () => toLdmConfig(resolveSdVaeConfig(input))).message).toContain(message);
  });
});
