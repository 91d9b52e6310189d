import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/errors.js";
import { parseAsymmetricKlConfig, toAsymmetricKlConfig } from "../../src/models/asymmetric-kl/asymmetric-kl-config.js";
import { resolveDcAeConfig } from "../../src/models/dc-ae/dc-ae-config.js";
import { PRESETS } from "../../src/models/families.js";
import {
  describePreset,
  findPreset,
  getPreset,
  presetHubId,
  toModelConfigFile,
} from "../../src/models/model-description.js";
import { resolveSdVaeConfig } from "../../src/models/sd-vae/sd-vae-config.js";
import { readTinyConfig } from "../../src/models/tiny/tiny-config.js";

const RESOLVE = {
  "dc-ae": resolveDcAeConfig,
  "sd-vae": resolveSdVaeConfig,
  "asymmetric-kl": (config: Parameters<typeof toAsymmetricKlConfig>[0]) =>
    parseAsymmetricKlConfig(toAsymmetricKlConfig(config, { scalingFactor: null, shiftFactor: null })).config,
  tiny: readTinyConfig,
} as const;

test.each(PRESETS.map((preset) => [preset.name, preset] as const))(
  "%s is a valid, complete configuration",
  (_, preset) => {
    expect(preset.config).toEqual(RESOLVE[preset.kind](preset.config as never));
  },
);

describe("names", () => {
  test("are all different, aliases included", () => {
    const names = PRESETS.flatMap(({ name, aliases }) => [name, ...aliases]);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names)
      expect(getPreset(name).name).toBe(PRESETS.find((one) => one.name === name || one.aliases.includes(name))?.name);
  });

  test.each([
    ["mit-han-lab/dc-ae-f64c128-in-1.0", "dc-ae-f64c128-in-1.0"],
    ["mit-han-lab/dc-ae-f32c32-sana-1.0-diffusers", "dc-ae-f32c32-sana-1.0"],
    ["DC-AE-Lite", "dc-ae-lite-f32c32-sana-1.1"],
    ["dc-ai/dc-ae-lite-f32c32", "dc-ae-lite-f32c32-sana-1.1"],
    ["dc-ai/dc-ae-lite-f32c32-diffusers", "dc-ae-lite-f32c32-sana-1.1"],
    ["stabilityai/sd-vae-ft-mse", "sd-vae-ft-mse"],
    ["stabilityai/sdxl-vae", "sdxl-vae"],
    ["flux-vae", "flux.1-vae"],
    ["cross-attention/asymmetric-autoencoder-kl-x-2", "asymmetric-autoencoder-kl-x-2"],
  ])("%s is %s", (name, expected) => expect(getPreset(name).name).toBe(expected));

  test.each(["1.1", "1.5"])("variants of %s for fewer channels share its architecture", (version) => {
    const base = getPreset(`dc-ae-f32c128-${version}`);
    for (const channels of [16, 32, 48, 64, 80, 96, 112]) {
      const variant = getPreset(`dc-ai/dc-ae-f32c128-${version}-c${channels}-diffusers`);
      expect(variant).toEqual({
        ...base,
        name: `dc-ae-f32c128-${version}-c${channels}`,
        hubId: `dc-ai/dc-ae-f32c128-${version}-c${channels}`,
      });
    }
    expect(findPreset(`dc-ae-f32c128-${version}-c20`)).toBeUndefined();
  });

  test("the same name under another owner is another model", () => {
    expect(findPreset("somebody/dc-ae-f32c32-in-1.0")).toBeUndefined();
    expect(findPreset("a/mit-han-lab/dc-ae-f32c32-in-1.0")).toBeUndefined();
    expect(findPreset("./dc-ae-f32c32-in-1.0")).toBeUndefined();
    expect(findPreset("")).toBeUndefined();
  });

  test("an unknown name is answered with the nearest and all others", () => {
    const errorOf = (name: string): ConfigError => {
      try {
        getPreset(name);
      } catch (error) {
        return error as ConfigError;
      }
      throw new Error("nothing was thrown");
    };
    const typo = errorOf("mit-han-lab/dc-ae-f32c32-sanaa-1.0");
    expect(typo).toBeInstanceOf(ConfigError);
    expect(typo.message).toBe(
      'unknown preset "mit-han-lab/dc-ae-f32c32-sanaa-1.0"; did you mean "dc-ae-f32c32-sana-1.0"?',
    );
    for (const { name } of PRESETS) expect(typo.hint).toContain(name);
    expect(errorOf("resnet50").message).toBe('unknown preset "resnet50"');
  });
});

test("repositories on the hub", () => {
  expect(presetHubId(getPreset("dc-ae-f32c32-mix-1.0"), "official")).toBe("mit-han-lab/dc-ae-f32c32-mix-1.0");
  expect(presetHubId(getPreset("dc-ae-f64c128-1.5"), "diffusers")).toBe("dc-ai/dc-ae-f64c128-1.5-diffusers");
  expect(presetHubId(getPreset("sd-vae-ft-ema"), "diffusers")).toBe("stabilityai/sd-vae-ft-ema");
  expect(() => presetHubId(getPreset("sd-vae-ft-ema"), "official")).toThrow(ConfigError);
  expect(() => presetHubId(getPreset("dc-ae-f32c32-in-1.0-256px"), "official")).toThrow(/no hub repository/);
});

test.each([
  ["sd-vae-ft-ema", 4, true, 256, 0.18215, null],
  ["sdxl-vae", 4, true, 1024, 0.13025, null],
  ["sd3-vae", 16, false, 1024, 1.5305, 0.0609],
  ["flux.1-vae", 16, false, 1024, 0.3611, 0.1159],
] as const)(
  "%s is as its published config.json says",
  (name, channels, quantConv, side, scalingFactor, shiftFactor) => {
    const preset = getPreset(name);
    const described = describePreset(preset);
    expect(described).toMatchObject({ scalingFactor, shiftFactor });
    expect(toModelConfigFile(described, "diffusers")).toEqual({
      _class_name: "AutoencoderKL",
      in_channels: 3,
      out_channels: 3,
      latent_channels: channels,
      down_block_types: Array(4).fill("DownEncoderBlock2D"),
      up_block_types: Array(4).fill("UpDecoderBlock2D"),
      block_out_channels: [128, 256, 512, 512],
      layers_per_block: 2,
      act_fn: "silu",
      norm_num_groups: 32,
      sample_size: side,
      scaling_factor: scalingFactor,
      ...(shiftFactor === null ? {} : { shift_factor: shiftFactor }),
      ...(quantConv ? {} : { use_quant_conv: false, use_post_quant_conv: false }),
    });
  },
);

test.each([
  ["asymmetric-autoencoder-kl-x-1-5", [192, 384, 768, 768], 3],
  ["asymmetric-autoencoder-kl-x-2", [256, 512, 1024, 1024], 5],
] as const)("%s is as its published config.json says", (name, widths, layers) => {
  expect(toModelConfigFile(describePreset(getPreset(name)), "diffusers")).toEqual({
    _class_name: "AsymmetricAutoencoderKL",
    in_channels: 3,
    out_channels: 3,
    latent_channels: 4,
    down_block_types: Array(4).fill("DownEncoderBlock2D"),
    down_block_out_channels: [128, 256, 512, 512],
    layers_per_down_block: 2,
    up_block_types: Array(4).fill("UpDecoderBlock2D"),
    up_block_out_channels: widths,
    layers_per_up_block: layers,
    act_fn: "silu",
    norm_num_groups: 32,
    sample_size: 256,
    scaling_factor: 0.18215,
  });
});

test("scaling factors are reciprocals of the published latent statistics", () => {
  const preset = getPreset("dc-ae-f64c128-in-1.0");
  const latent = preset.published?.latent;
  if (latent === undefined) throw new Error("no statistics");
  expect(preset.scalingFactor).toBeCloseTo(1 / latent.rms, 3);
  expect(latent.rms ** 2).toBeCloseTo(latent.mean ** 2 + latent.std ** 2, 3);
});
