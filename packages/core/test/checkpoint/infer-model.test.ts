import { describe, expect, test } from "vitest";
import { checkCheckpoint } from "../../src/autoencoders/pretrained.js";
import {
  inferModel,
  matchPublishedModels,
  recognizeFormat,
  unwrapWeights,
} from "../../src/checkpoint/names/infer-model.js";
import { planWeights } from "../../src/checkpoint/names/weight-plan.js";
import { CheckpointError, ConfigError } from "../../src/errors.js";
import { type ModelConfig, PRESETS, type WeightFormat } from "../../src/models/families.js";
import { getPreset } from "../../src/models/model-description.js";
import { modelParameters } from "../../src/models/model-programs.js";
import { errorOf } from "../support/error-of.js";
import { changed, weightsOfPlan, zeroWeights } from "../support/memory-weights.js";

function checkpoint(preset: string, format: WeightFormat) {
  return weightsOfPlan(planWeights(modelParameters(getPreset(preset)), format), `${preset}.safetensors`);
}

describe("recognizeFormat", () => {
  test.each([
    ["dc-ae-f32c32-in-1.0", "official"],
    ["dc-ae-f32c32-sana-1.0", "official"],
    ["dc-ae-lite-f32c32-sana-1.1", "diffusers"],
    ["dc-ae-f32c128-1.5", "diffusers"],
    ["sd-vae-ft-ema", "kl-diffusers"],
    ["sd-vae-ft-ema", "kl-diffusers-old"],
    ["sd-vae-ft-ema", "kl-ldm"],
  ] as const)("%s as %s", (preset, format) => {
    expect(recognizeFormat(checkpoint(preset, format).entries.keys())).toBe(format);
  });

  test.each([
    [[], /holds no tensors/],
    [
      ["classifier.weight"],
      /not an autoencoder checkpoint of a known format; its first tensor is "classifier\.weight"/,
    ],
    [
      ["encoder.project_in.conv.weight", "encoder.mid.block_1.norm1.weight"],
      /several formats at once: official, kl-ldm/,
    ],
  ] as const)("%j is refused", (names, message) => {
    expect(() => recognizeFormat(names, "a.safetensors")).toThrow(CheckpointError);
    expect(() => recognizeFormat(names, "a.safetensors")).toThrow(message);
  });

  test("a prefix before the names is pointed out", () => {
    const names = [...checkpoint("sd-vae-ft-ema", "kl-ldm").entries.keys()];
    for (const prefix of ["first_stage_model.", "autoencoder.", "model.ema_decoder."]) {
      const { hint } = errorOf(CheckpointError, () => recognizeFormat(names.map((name) => prefix + name)));
      expect(hint).toContain(`those that begin with "${prefix}"`);
    }
  });
});

describe("unwrapWeights", () => {
  const plain = checkpoint("dc-ae-f32c32-in-1.0", "official");
  const wrapped = (prefix: string, more: readonly string[] = []) => {
    const entries = [...plain.entries].map(
      ([name, entry]) => [prefix + name, { ...entry, name: prefix + name }] as const,
    );
    const [[, first]] = entries as [(typeof entries)[number]];
    return { ...plain, entries: new Map([...entries, ...more.map((name) => [name, { ...first, name }] as const)]) };
  };

  test.each(["autoencoder.", "module.", "model.encoder_decoder."])("%s before all names is left out", (prefix) => {
    const { entries } = unwrapWeights(wrapped(prefix));
    expect([...entries.keys()]).toEqual([...plain.entries.keys()]);
    expect([...entries.values()].map(({ name }) => name)).toEqual([...entries.keys()]);
    expect(checkCheckpoint(wrapped(prefix), undefined).format).toBe("official");
  });

  test("files with something else, or without a prefix, stay as they are", () => {
    for (const weights of [plain, wrapped("autoencoder.", ["discriminator.0.weight"])]) {
      expect(unwrapWeights(weights)).toBe(weights);
    }
  });
});

describe("inferModel", () => {
  const told = PRESETS.filter(({ name }) => !/f32c128/.test(name));

  test.each(told.map(({ name, kind }) => [name, kind === "dc-ae" ? "official" : "kl-diffusers"] as const))(
    "%s by its %s tensors",
    (name, format) => {
      const preset = getPreset(name);
      const model = inferModel(checkpoint(name, format));
      // Sizes of tiles aren't in the tensors.
      const network = ({ config }: ModelConfig) => ({ ...config, sampleSize: undefined });
      expect([model.kind, network(model)]).toEqual([preset.kind, network(preset as ModelConfig)]);
      if (preset.kind === "dc-ae") expect(inferModel(checkpoint(name, "diffusers"))).toEqual(model);
    },
  );

  test("preset and scaling factor are given only where all candidates agree", () => {
    expect(inferModel(checkpoint("dc-ae-f64c128-1.5", "official"))).toMatchObject({
      preset: "dc-ae-f64c128-1.5",
      scalingFactor: 0.5935,
    });
    expect(inferModel(checkpoint("dc-ae-f32c32-sana-1.1", "official"))).toMatchObject({
      preset: undefined,
      scalingFactor: 0.41407,
    });
    expect(inferModel(checkpoint("dc-ae-f32c32-in-1.0", "official"))).toMatchObject({
      preset: undefined,
      scalingFactor: null,
    });
  });

  test("autoencoders of one architecture that differ in their scale have none", () => {
    const f8 = { preset: undefined, scalingFactor: null, shiftFactor: null };
    expect(inferModel(checkpoint("sd-vae-ft-ema", "kl-ldm"))).toMatchObject(f8);
    expect(inferModel(checkpoint("flux.1-vae", "kl-ldm"))).toMatchObject(f8);
    expect(inferModel(checkpoint("mar-vae-f16", "kl-ldm"))).toMatchObject({
      preset: "mar-vae-f16",
      scalingFactor: 0.2325,
    });
  });

  test("models that differ in no tensor are listed", () => {
    const run = () => inferModel(checkpoint("dc-ae-f32c128-1.1", "official"));
    expect(run).toThrow(ConfigError);
    expect(run).toThrow(/its tensors fit several models: dc-ae-f32c128-1\.1, dc-ae-f32c128-1\.5$/);
  });

  test("any difference from a published model is no match", () => {
    const good = checkpoint("dc-ae-f32c32-in-1.0", "official");
    const name = "encoder.project_out.main.op_list.0.conv.bias";
    for (const bad of [
      changed(good, { [name]: null }),
      changed(good, { [name]: { shape: [33] } }),
      changed(good, { [`${name}2`]: { shape: [1] } }),
    ]) {
      expect(matchPublishedModels(bad, "official")).toEqual([]);
      expect(() => inferModel(bad)).toThrow(/no published model has these tensors/);
    }
  });

  test("what isn't a checkpoint of a known format is refused first", () => {
    expect(() => inferModel(zeroWeights([{ name: "x", shape: [1] }]))).toThrow(CheckpointError);
  });
});
