import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/errors.js";
import { parseKlConfig, resolveSdVaeConfig } from "../../src/models/sd-vae/sd-vae-config.js";
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
      { down_block_types: ["AttnDownEncoderBlock2D"] },
      'down_block_types[0] is "AttnDownEncoderBlock2D" but must be "DownEncoderBlock2D"',
    ],
    [
      { block_out_channels: [32, 64] },
      "down_block_types has 1 entries but must have 2, one per entry of block_out_channels",
    ],
    [{ block_out_channels: [30] }, "block_out_channels[0] is 30 but must be a multiple of the 32 normalization groups"],
    [{ latents_mean: [0, 0, 0, 0] }, "latents_mean is [0,0,0,0] but must be null"],
    [{ act_fn: "tanh" }, 'act_fn is "tanh" but must be one of'],
    [{ layers_per_block: [2, 2] }, "layers_per_block is [2,2] but must be a positive integer"],
  ])("%j is refused", (json, message) => {
    expect(errorOf(ConfigError, () => parseKlConfig(json, "config.json")).message).toContain(`config.json: ${message}`);
  });
});
