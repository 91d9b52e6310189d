/** A denoiser's config.json: what is missing, wrong or old; and what is closed when a checkpoint can't be used. */
import { ConfigError } from "@dcae/core";
import { describe, expect, it } from "vitest";
import { parseDenoiserConfig, toDenoiserConfig } from "../../src/pipeline/denoiser-checkpoint.js";
import { readOpenedDenoiser } from "../../src/pipeline/open-denoiser.node.js";
import { tinyDescription, tinyWeights } from "../support/tiny-models.js";

const json = toDenoiserConfig({ ...tinyDescription("uvit"), shiftFactor: 0.25 });

describe("config.json of a denoiser", () => {
  it("keeps scale and shift; one from before shifts has none", () => {
    expect(parseDenoiserConfig(json, "config.json")).toMatchObject({ scalingFactor: 0.5, shiftFactor: 0.25 });
    const { shift_factor: _, ...old } = json;
    expect(parseDenoiserConfig(old, "config.json").shiftFactor).toBe(0);
    expect(parseDenoiserConfig({ ...json, shift_factor: null }, "config.json").shiftFactor).toBe(0);
  });

  it("keeps what channels are normalized by; without it none are", () => {
    const channels = { mean: [0, 1, 2, 3, 4, 5, 6, -7], std: [1, 2, 3, 4, 5, 6, 7, 8] };
    const written = toDenoiserConfig({ ...tinyDescription("uvit"), channels });
    expect(written).toMatchObject({ channel_mean: channels.mean, channel_std: channels.std });
    expect(parseDenoiserConfig(written, "config.json").channels).toEqual(channels);
    expect(json).not.toHaveProperty("channel_mean");
    expect(parseDenoiserConfig(json, "config.json")).not.toHaveProperty("channels");
  });

  it.each([
    ["null", null],
    ["a number", 3],
    ["a string", "uvit"],
    ["a list", []],
    ["nothing in it", {}],
    ["no model", { ...json, model: null }],
    ["a list as model", { ...json, model: [] }],
    ["a number as arch", { ...json, arch: 3 }],
    ["an inherited name as arch", { ...json, arch: "constructor" }],
    ["an unknown published name", { model_name: "__proto__" }],
    ["an infinite factor", { ...json, scaling_factor: Number.POSITIVE_INFINITY }],
    ["a factor in quotes", { ...json, scaling_factor: "0.5" }],
    ["an infinite shift", { ...json, shift_factor: Number.NEGATIVE_INFINITY }],
    ["a list as shift", { ...json, shift_factor: [0.1] }],
    ["means without deviations", { ...json, channel_mean: Array(8).fill(0) }],
    ["too few deviations", { ...json, channel_mean: Array(8).fill(0), channel_std: [1] }],
    ["a deviation of 0", { ...json, channel_mean: Array(8).fill(0), channel_std: Array(8).fill(0) }],
    ["too few classes", { ...json, classes: ["a"] }],
    ["a number as autoencoder", { ...json, autoencoder: 1 }],
    ["a count beyond 2^53", { ...json, model: { ...(json.model as object), num_classes: 2 ** 60 } }],
    ["a fraction of a class", { ...json, model: { ...(json.model as object), num_classes: 2.5 } }],
    ["a number in quotes", { ...json, model: { ...(json.model as object), depth: "2" } }],
  ])("with %s is a typed error that names the file", (_, value) => {
    expect(() => parseDenoiserConfig(value, "config.json")).toThrow(ConfigError);
    expect(() => parseDenoiserConfig(value, "config.json")).toThrow(/^config\.json: /);
  });
});

describe("an open checkpoint that can't be used is closed, and the first error is what the caller learns", () => {
  const given = tinyDescription("uvit");
  it.each([
    ["a notice that its receiver doesn't want", { notice: "from the cache" }, "no notices, please"],
    ["a config of another network", { config: toDenoiserConfig(tinyDescription("dit")) }, "this dit"],
    ["a damaged config", { config: { ...json, model: null } }, "must be an object"],
  ])("%s", async (_, found, message) => {
    let closed = 0;
    const close = async () => {
      closed++;
      throw new Error("closing failed");
    };
    const opened = { config: json, ...found, weights: { ...tinyWeights(given), close } };
    const onNotice = () => {
      throw new Error("no notices, please");
    };
    await expect(readOpenedDenoiser(opened, "a/b", { onNotice })).rejects.toThrow(message);
    expect(closed).toBe(1);
  });
});
