import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/errors.js";
import { type DcAeConfigInput, resolveDcAeConfig } from "../../src/models/dc-ae/dc-ae-config.js";
import { parseDiffusersConfig, toDiffusersConfig } from "../../src/models/dc-ae/diffusers-config.js";
import { errorOf } from "../support/error-of.js";

describe("parseDiffusersConfig", () => {
  test("missing keys have the class's defaults", () => {
    const { config, scalingFactor } = parseDiffusersConfig({
      _class_name: "AutoencoderDC",
      _diffusers_version: "0.32.0",
    });
    expect(config).toEqual(
      resolveDcAeConfig({ encoder: { depthList: [2, 2, 2, 3, 3, 3] }, decoder: { depthList: [3, 3, 3, 3, 3, 3] } }),
    );
    expect(scalingFactor).toBe(1);
  });

  test("each resampling text is compared with one value only", () => {
    const types = (down: string, up: string) => {
      const { config } = parseDiffusersConfig({ downsample_block_type: down, upsample_block_type: up });
      return [config.encoder.downsampleBlockType, config.decoder.upsampleBlockType];
    };
    expect(types("pixel_unshuffle", "interpolate")).toEqual(["ConvPixelUnshuffle", "InterpolateConv"]);
    expect(types("conv", "Interpolate")).toEqual(["Conv", "ConvPixelShuffle"]);
    expect(types("Conv", "pixel_shuffle")).toEqual(["Conv", "ConvPixelShuffle"]);
  });

  test("activations have the meaning of diffusers, and attention ignores them", () => {
    const { config } = parseDiffusersConfig({
      decoder_block_types: ["ResBlock", "ResBlock", "ResBlock", "ResBlock", "ResBlock", "EfficientViTBlock"],
      decoder_act_fns: ["gelu", "swish", "SiLU", "mish", "relu", "relu"],
      decoder_conv_act_fn: "gelu",
    });
    expect(config.decoder.act).toEqual(["gelu_erf", "silu", "silu", "mish", "relu", "silu"]);
    expect(config.decoder.outAct).toBe("gelu_erf");
    expect(config.decoder.blockType[5]).toEqual({ type: "EViTGLU", scales: [5] });
  });

  const vit = { decoder_block_types: "EfficientViTBlock" };
  test.each<[unknown, string]>([
    [[], "is [] but must be an object"],
    [{ _class_name: "AutoencoderKL" }, '_class_name is "AutoencoderKL" but must be "AutoencoderDC"'],
    [{ new_option: 1 }, "new_option isn't a known option"],
    [
      { encoder_block_types: ["ResBlock", "ViT"] },
      'encoder_block_types is ["ResBlock","ViT"] but must be "ResBlock" or "EfficientViTBlock", or a list of them',
    ],
    [{ encoder_block_types: ["ResBlock"] }, "encoder_block_types has 1 entry but must have 6"],
    [{ encoder_block_out_channels: [8, 16, -1] }, "encoder_block_out_channels[2] is -1 but must be a positive integer"],
    [{ decoder_layers_per_block: [1, 2] }, "decoder_layers_per_block has 2 entries but must have 6"],
    [
      { ...vit, decoder_qkv_multiscales: [[], []] },
      "decoder_qkv_multiscales has 2 entries but must have 6, one per entry of decoder_block_out_channels",
    ],
    [
      { ...vit, decoder_qkv_multiscales: [[5], [5], [5], [4], [], []] },
      "decoder_qkv_multiscales[3][0] is 4 but must be an odd kernel size",
    ],
    [
      { ...vit, decoder_norm_types: "batch_norm" },
      'decoder_norm_types[0] is "batch_norm" but must be "rms_norm" in a stage of EfficientViTBlock',
    ],
    [{ decoder_norm_types: "layer_norm" }, 'decoder_norm_types is "layer_norm" but must be "rms_norm" or "batch_norm"'],
    [{ decoder_act_fns: "tanh" }, 'decoder_act_fns is "tanh" but must be one of silu, swish, mish, gelu, relu'],
    [{ scaling_factor: -1 }, "scaling_factor is -1 but must be a positive number"],
    [{ latent_channels: 48 }, "latent_channels is 48 but must divide the encoder's last width 1024"],
  ])("%j is refused", (json, message) => {
    expect(errorOf(ConfigError, () => parseDiffusersConfig(json, "config.json")).message).toContain(
      `config.json: ${message}`,
    );
  });
});

describe("toDiffusersConfig", () => {
  test.each<[string, DcAeConfigInput, string]>([
    [
      "block",
      { encoder: { blockType: "GLUMBConv@4" } },
      'encoder.blockType[0] is "GLUMBConv@4" but there is only ResBlock and EViTGLU',
    ],
    [
      "encoder norm",
      { encoder: { norm: "bn2d" } },
      'encoder.norm[0] is "bn2d" but there is only trms2d in the encoder',
    ],
    ["encoder act", { encoder: { act: "relu" } }, 'encoder.act[0] is "relu" but there is only silu in the encoder'],
    [
      "tanh gelu",
      { decoder: { act: "gelu" } },
      'decoder.act[0] is "gelu" but there is only silu, mish, gelu_erf and relu',
    ],
    [
      "attention norm",
      { decoder: { blockType: "EViTGLU", norm: "bn2d" } },
      'decoder.norm[0] is "bn2d" but there is only trms2d in stages with attention',
    ],
    [
      "shortcut",
      { decoder: { upsampleShortcut: null } },
      "decoder.upsampleShortcut is null but there is only duplicating",
    ],
    ["output norm", { encoder: { outNorm: "trms2d" } }, 'encoder.outNorm is "trms2d" but there is only null'],
    [
      "output act",
      { decoder: { outAct: null } },
      "decoder.outAct is null but there is only silu, mish, gelu_erf and relu",
    ],
  ])("%s", (_, input, message) => {
    const error = errorOf(ConfigError, () => toDiffusersConfig(resolveDcAeConfig(input), 1));
    expect(error.message).toContain(`not expressible as a diffusers AutoencoderDC: ${message}`);
  });
});
