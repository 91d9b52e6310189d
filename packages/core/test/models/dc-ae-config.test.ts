import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/errors.js";
import { type DcAeConfigInput, resolveDcAeConfig, spatialCompression } from "../../src/models/dc-ae/dc-ae-config.js";
import { parseOfficialConfig } from "../../src/models/dc-ae/official-config.js";
import { errorOf } from "../support/error-of.js";

describe("resolveDcAeConfig", () => {
  test("without input it is the reference's default", () => {
    const part = {
      widthList: [128, 256, 512, 512, 1024, 1024],
      depthList: [2, 2, 2, 2, 2, 2],
      blockType: Array.from({ length: 6 }, () => ({ type: "ResBlock" })),
      norm: Array.from({ length: 6 }, () => "trms2d"),
      act: Array.from({ length: 6 }, () => "silu"),
    };
    const config = resolveDcAeConfig({});
    expect(config).toEqual({
      inChannels: 3,
      latentChannels: 32,
      headDim: 32,
      encoder: {
        ...part,
        downsampleBlockType: "ConvPixelUnshuffle",
        downsampleShortcut: "averaging",
        outNorm: null,
        outAct: null,
        outBlockType: "ConvLayer",
        outShortcut: "averaging",
      },
      decoder: {
        ...part,
        inBlockType: "ConvLayer",
        inShortcut: "duplicating",
        upsampleBlockType: "ConvPixelShuffle",
        upsampleShortcut: "duplicating",
        outNorm: "trms2d",
        outAct: "relu",
      },
    });
    expect(spatialCompression(config)).toBe(32);
  });

  test("one value serves all stages, and names and records of blocks mix", () => {
    const { encoder, decoder } = resolveDcAeConfig({
      encoder: { blockType: "EViTS5GLU", norm: null, act: "gelu" },
      decoder: { blockType: ["ResBlock", "ResBlock", { type: "ResBlock" }, "GLUMBConv@2", "EViTGLU", "ResBlock"] },
    });
    expect(encoder.blockType[5]).toEqual({ type: "EViTGLU", scales: [5] });
    expect(encoder.norm).toEqual([null, null, null, null, null, null]);
    expect(encoder.act).toEqual(["gelu", "gelu", "gelu", "gelu", "gelu", "gelu"]);
    expect(decoder.blockType[3]).toEqual({ type: "GLUMBConv", expansion: 2 });
  });

  const three = { widthList: [8, 16, 32], depthList: [1, 1, 1] };
  const small = (encoder: object, decoder: object = {}, rest: object = {}) =>
    ({
      latentChannels: 4,
      headDim: 8,
      encoder: { ...three, ...encoder },
      decoder: { ...three, ...decoder },
      ...rest,
    }) as DcAeConfigInput;

  test.each<[string, unknown, string]>([
    ["not an object", 5, "is 5 but must be an object"],
    ["an unknown key", { latents: 4 }, "latents isn't a known option"],
    ["a number as text", { latentChannels: "4" }, 'latentChannels is "4" but must be a positive integer'],
    ["a huge number", { latentChannels: 2 ** 40 }, "latentChannels is 1099511627776 but must be at most 65536"],
    ["a fraction", small({ widthList: [8, 16.5, 32] }), "encoder.widthList[1] is 16.5 but must be a positive integer"],
    ["no stage", small({ widthList: [] }), "encoder.widthList is [] but must have at least one stage"],
    [
      "an unknown norm",
      small({}, { norm: ["trms2d", "gn", null] }),
      'decoder.norm[1] is "gn" but must be one of "trms2d", "bn2d", "ln2d", "rms2d" or null',
    ],
    ["an unknown act", small({ act: "swish" }), 'encoder.act is "swish" but must be one of'],
    [
      "an unknown block",
      small({ blockType: ["ResBlock", "ResBlock", "ViTGLU"] }),
      'encoder.blockType[2] is "ViTGLU" but must be a block type: ResBlock, EViTGLU',
    ],
    [
      "an even scale",
      small({ blockType: [{ type: "EViTGLU", scales: [5, 4] }] }),
      "encoder.blockType[0].scales[1] is 4 but must be an odd kernel size",
    ],
    [
      "a wrong length",
      small({ norm: ["trms2d"] }),
      "encoder.norm has 1 entry but must have 3, one per entry of the width list",
    ],
    [
      "an empty inner stage",
      small({ depthList: [1, 0, 1] }),
      "encoder.depthList[1] is 0 but must be positive: only stage 0 may be empty",
    ],
    [
      "different compression",
      small({}, { widthList: [8, 16], depthList: [1, 1] }),
      "decoder.widthList has 2 stages but must have 3",
    ],
    [
      "a width for the shortcut",
      small({ widthList: [8, 16, 36] }),
      "encoder.widthList[2] is 36 but must divide 4 x 16 (the width of stage 1) for the averaging shortcut",
    ],
    [
      "a width for the unshuffle",
      small({ widthList: [8, 2, 8] }),
      "encoder.widthList[1] is 2 but must be a multiple of 4 for ConvPixelUnshuffle",
    ],
    [
      "a width for attention",
      small({ blockType: "EViTGLU" }, {}, { headDim: 32 }),
      "encoder.widthList[0] is 8 but must be a multiple of the head size 32 in a stage with attention",
    ],
    [
      "the latent's shortcut",
      small({}, {}, { latentChannels: 5 }),
      "latentChannels is 5 but must divide the encoder's last width 32 for the averaging shortcut",
    ],
    [
      "an adaptive latent with shortcut",
      small({ outBlockType: "AdaptiveOutputConvLayer" }),
      'encoder.outShortcut is "averaging" but must be null with AdaptiveOutputConvLayer',
    ],
    [
      "an adaptive input with shortcut",
      small({}, { inBlockType: "AdaptiveInputConvLayer" }),
      'decoder.inShortcut is "duplicating" but must be null with AdaptiveInputConvLayer',
    ],
    [
      "no room for squeezing",
      small({ widthList: [2, 8, 32], blockType: "ChannelAttentionResBlock@SEModule" }),
      "encoder.widthList[0] is 2 but must be at least 4 in a stage with SEModule",
    ],
  ])("%s", (_, input, message) => {
    const error = errorOf(ConfigError, () => resolveDcAeConfig(input as DcAeConfigInput));
    expect(error.message.startsWith("DC-AE config: ")).toBe(true);
    expect(error.message).toContain(message);
  });

  test("what an empty first stage says doesn't matter", () => {
    const input = small({
      depthList: [0, 1, 1],
      widthList: [7, 16, 32],
      blockType: ["EViTGLU", "ResBlock", "ResBlock"],
    });
    expect(resolveDcAeConfig(input).encoder.widthList).toEqual([7, 16, 32]);
  });

  test("all problems are reported, the first eight in full", () => {
    const { message } = errorOf(ConfigError, () =>
      resolveDcAeConfig(small({ act: Array.from({ length: 10 }, (_, i) => `x${i}`) } as object)),
    );
    expect(message.split("; ")).toHaveLength(9);
    expect(message).toMatch(/; and 2 more$/);
  });
});

describe("parseOfficialConfig", () => {
  test("errors have the names of the file", () => {
    expect(
      errorOf(ConfigError, () => parseOfficialConfig({ encoder: { width_list: [0] } }, "a.json")).message,
    ).toContain("a.json: encoder.width_list[0] is 0 but must be a positive integer");
    expect(errorOf(ConfigError, () => parseOfficialConfig({ latent_channels: 5 })).message).toContain(
      "latent_channels is 5 but must divide",
    );
    expect(errorOf(ConfigError, () => parseOfficialConfig({ encoder: { widthList: [8] } })).message).toContain(
      `"encoder.widthList" isn't a known option`,
    );
  });

  test("options without effect are accepted, those that would change the model are not", () => {
    const neutral = { use_quant_conv: true, encoder: { downsample_match_channel: true, double_latent: false } };
    expect(parseOfficialConfig(neutral)).toEqual(resolveDcAeConfig({}));
    for (const [part, key, value] of [
      ["encoder", "downsample_match_channel", false],
      ["encoder", "double_latent", true],
      ["decoder", "upsample_match_channel", false],
    ] as const) {
      expect(errorOf(ConfigError, () => parseOfficialConfig({ [part]: { [key]: value } })).message).toBe(
        `DC-AE config: ${part}.${key} is ${value} but only ${!value} is supported`,
      );
    }
  });
});
