import { ConfigError, ShapeError } from "@dcae/core";
import { createScope, input } from "@dcae/core/graph";
import { describe, expect, it } from "vitest";
import { buildDenoiseProgram, denoise } from "../../src/denoisers/denoise.js";
import { nullLabel } from "../../src/denoisers/denoiser-config.js";
import { parseOfficialDenoiser } from "../../src/denoisers/official-config.js";
import { denoiserPreset } from "../../src/denoisers/presets.js";

const tiny = { input_size: 4, in_channels: 3, hidden_size: 8, num_heads: 2, depth: 1, patch_size: 1, num_classes: 5 };

describe("parseOfficialDenoiser", () => {
  it.each([
    ["unknown architectures", "unet", tiny, /unknown architecture "unet"/],
    ["unknown keys", "uvit", { ...tiny, dropout: 0.1 }, /"dropout" isn't a known option/],
    ["keys of another architecture", "dit", { ...tiny, mlp_time_embed: true }, /"mlp_time_embed"/],
    ["wrong types", "uvit", { ...tiny, depth: "12" }, /depth is "12"/],
    ["missing keys", "uvit", { ...tiny, input_size: undefined }, /input_size is undefined/],
    ["sizes that don't divide", "uvit", { ...tiny, num_heads: 3 }, /num_heads 3 doesn't divide hidden_size 8/],
    ["patches that don't divide", "dit", { ...tiny, patch_size: 3 }, /patch_size 3 doesn't divide input_size 4/],
    ["even kernels", "dit", { ...tiny, patch_kernel_size: 2 }, /patch_kernel_size 2 must be odd/],
    ["what is no object", "dit", [tiny], /must be an object/],
  ])("refuses %s", (_, arch, model, message) => {
    expect(() => parseOfficialDenoiser(arch, model)).toThrow(ConfigError);
    expect(() => parseOfficialDenoiser(arch, model)).toThrow(message);
  });

  it("fills in the official defaults", () => {
    const { config, recipe } = parseOfficialDenoiser("dit", { input_size: 32 });
    expect(config).toMatchObject({ patchSize: 2, inChannels: 4, hiddenSize: 1152, depth: 28, learnSigma: true });
    expect(recipe).toEqual({
      trainScheduler: "GaussianDiffusion",
      evalScheduler: "GaussianDiffusion",
      numInferenceSteps: 250,
      cfgChannels: null,
      guidanceInterval: null,
    });
  });

  it("knows the null class", () => {
    expect(nullLabel(parseOfficialDenoiser("uvit", tiny).config)).toBe(5);
    expect(nullLabel(parseOfficialDenoiser("uvit", { ...tiny, class_dropout_prob: 0 }).config)).toBeUndefined();
    expect(nullLabel(parseOfficialDenoiser("uvit", { ...tiny, num_classes: 0 }).config)).toBeUndefined();
  });

  it("names the presets that exist", () => {
    expect(() => denoiserPreset("uvit-z" as never, "sd-vae-f8-512")).toThrow(/unknown size "uvit-z"/);
    expect(() => denoiserPreset("uvit-s", "vae" as never)).toThrow(/unknown latent "vae"/);
  });
});

describe("denoise", () => {
  const { config } = parseOfficialDenoiser("uvit", tiny);
  const t = input("t", [2]);
  const labels = input("labels", [2], "int32");

  it("refuses latents of another size", () => {
    const x = input("x", [2, 3, 8, 8]);
    expect(() => denoise(createScope(), x, t, labels, config)).toThrow(ShapeError);
    expect(() => denoise(createScope(), x, t, labels, config)).toThrow(/\[B, 3, 4, 4\], got \[2, 3, 8, 8\]/);
  });

  it("refuses missing labels, and labels without effect", () => {
    const x = input("x", [2, 3, 4, 4]);
    expect(() => denoise(createScope(), x, t, undefined, config)).toThrow(/needs labels/);
    const plain = parseOfficialDenoiser("uvit", { ...tiny, num_classes: 0 }).config;
    expect(() => denoise(createScope(), x, t, labels, plain)).toThrow(/no effect/);
  });

  it("takes fewer channels with adaptive channels only", () => {
    expect(() => buildDenoiseProgram(config, 1, 2)).toThrow(ShapeError);
    const adaptive = parseOfficialDenoiser("uvit", { ...tiny, adaptive_channel: true }).config;
    expect(buildDenoiseProgram(adaptive, 1, 2).outputs.get("y")?.shape).toEqual([1, 2, 4, 4]);
  });
});
