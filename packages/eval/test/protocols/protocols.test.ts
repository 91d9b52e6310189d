import { describe, expect, it } from "vitest";
import { checkMetrics, METRICS, type Metric, RECONSTRUCTION_METRICS } from "../../src/protocols/metrics.js";
import { describeProtocol, resolveProtocol } from "../../src/protocols/protocol.js";
import { checkComparable, incomparableBecause, type Measured } from "../../src/results/compare-results.js";

describe("resolveProtocol", () => {
  it("is the official evaluation unless something is changed", () => {
    expect(resolveProtocol({ size: 512, split: "ImageNet val" })).toMatchObject({
      name: "dc-ae",
      split: "ImageNet val",
      size: [512, 512],
      crop: "dm-crop",
      rounding: "truncate-half-up",
      fidPipeline: "pytorch-fid",
      scorePipeline: "tf1",
      lpipsTrunk: "alex",
      ssimBorder: "whole",
    });
  });

  it("shows changes in its name", () => {
    expect(resolveProtocol({ ssimBorder: "cropped", lpipsTrunk: "alex" }).name).toBe("dc-ae with other ssimBorder");
    expect(resolveProtocol({ preset: "adm" }).name).toBe("adm");
  });

  it("refuses unknown presets and sizes without effect", () => {
    expect(() => resolveProtocol({ preset: "other" })).toThrow(/protocol: "other" is unknown/);
    expect(() => resolveProtocol({ preset: "toString" })).toThrow(/unknown/);
    expect(() => resolveProtocol({ crop: "none", size: 256 })).toThrow(/256x256 has no effect/);
    expect(() => resolveProtocol({ size: [0, 4] })).toThrow(/positive integers/);
    expect(() => resolveProtocol({ crop: "dm-crop" })).toThrow(/crop: dm-crop needs a size/);
    expect(resolveProtocol()).toMatchObject({ name: "dc-ae", crop: "none", size: null });
  });

  it("describes every part", () => {
    const lines = Object.fromEntries(describeProtocol(resolveProtocol({ size: [256, 384] })));
    expect(lines.size).toBe("384x256");
    expect(lines.LPIPS).toMatch(/^alex/);
    expect(lines["inception score"]).toBe("tf1, 10 parts, seed 2020");
  });
});

describe("incomparableBecause", () => {
  const measured = (changes: Parameters<typeof resolveProtocol>[0] = {}, count = 50_000) => ({
    protocol: resolveProtocol({ size: 512, split: "val", ...changes }),
    count,
  });

  it("lets equal protocols pass for every metric", () => {
    for (const metric of Object.keys(METRICS) as Metric[]) {
      expect(incomparableBecause(metric, measured(), measured())).toEqual([]);
    }
  });

  it("knows what matters to which metric", () => {
    const cropped = measured({ ssimBorder: "cropped" });
    expect(incomparableBecause("ssim", measured(), cropped)).toEqual(['ssimBorder is "whole" and "cropped"']);
    expect(incomparableBecause("psnr", measured(), cropped)).toEqual([]);
    const vgg = measured({ lpipsTrunk: "vgg" });
    expect(incomparableBecause("lpips", measured(), vgg)).toEqual(['lpipsTrunk is "alex" and "vgg"']);
    expect(incomparableBecause("rfid", measured(), measured({ size: 256 }))).toEqual([
      "size is [512,512] and [256,256]",
    ]);
    expect(incomparableBecause("is", measured(), measured({ scoreSeed: null }))).toHaveLength(1);
  });

  it("never lets distances of different numbers of images pass", () => {
    expect(incomparableBecause("fid", measured(), measured({}, 10_000))).toEqual([
      "the numbers of images are 50000 and 10000",
    ]);
    expect(incomparableBecause("psnr", measured(), measured({}, 10_000))).toEqual([]);
  });

  it("refuses other pictures and other references, by words where there are some, else by fingerprints", () => {
    const unstated = (files: object) => ({ ...measured({ split: "not stated" }), ...files });
    const psnr = (a: object, b: object) => incomparableBecause("psnr", unstated(a), unstated(b));
    expect(psnr({ pictures: "x" }, { pictures: "x" })).toEqual([]);
    expect(psnr({ pictures: "x" }, { pictures: "y" })).toEqual(["the pictures differ"]);
    expect(psnr({ pictures: "x" }, {})).toEqual([]);
    // Whoever names the same split may have stored its pictures in another way.
    const [a, b] = ["x", "y"].map((pictures) => ({ ...measured(), pictures })) as [Measured, Measured];
    expect(incomparableBecause("psnr", a, b)).toEqual([]);
    expect(incomparableBecause("psnr", measured(), measured({ split: "train" }))).toEqual([
      'split is "val" and "train"',
    ]);
    const [c, d] = ["x", "y"].map((reference) => ({ ...measured(), reference })) as [Measured, Measured];
    expect(incomparableBecause("fid", c, d)).toEqual(["the references differ"]);
    expect(incomparableBecause("is", c, d)).toEqual([]);
  });

  it("compares the networks' weights where both are known", () => {
    const a = { ...measured(), networks: ["x", "y"] };
    expect(incomparableBecause("lpips", a, { ...measured(), networks: ["y", "x"] })).toEqual([]);
    expect(incomparableBecause("lpips", a, { ...measured(), networks: ["z"] })).toHaveLength(1);
    expect(() => checkComparable("lpips", a, { ...measured(), networks: ["z"] })).toThrow(
      /two values of lpips can't be compared: the weights of the metric's network differ/,
    );
  });
});

describe("checkMetrics", () => {
  it("orders names and refuses unknown ones", () => {
    expect(checkMetrics(["rfid", "psnr", "psnr"], RECONSTRUCTION_METRICS)).toEqual(["psnr", "rfid"]);
    expect(() => checkMetrics(["psnr", "fid"], RECONSTRUCTION_METRICS)).toThrow(/"fid" is unknown here/);
    expect(() => checkMetrics([], RECONSTRUCTION_METRICS)).toThrow(/none are named/);
  });
});
