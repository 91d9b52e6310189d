/** Names, shapes and counts of every parameter of every published model, in every format. */

import { readFileSync } from "node:fs";
import { dcAeCases, dcAeNames } from "@dcae/test-support/golden-dcae";
import { describe, expect, test } from "vitest";
import { planWeights, type WeightPlan } from "../../src/checkpoint/names/weight-plan.js";
import { parseOfficialConfig } from "../../src/models/dc-ae/official-config.js";
import type { ModelConfig } from "../../src/models/families.js";
import { getPreset } from "../../src/models/model-description.js";
import { countParameters, modelParameters } from "../../src/models/model-programs.js";
import { parseKlConfig } from "../../src/models/sd-vae/sd-vae-config.js";
import { manifest, manifestTensors, tensorLine } from "../support/manifest.js";

function readJson(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../golden/${name}`, import.meta.url), "utf8"));
}

function planLines(plan: WeightPlan): string[] {
  return plan.flatMap(({ pieces }) => pieces.map(({ name, shape }) => tensorLine(name, shape))).sort();
}

describe.each(manifest.architectures.map((architecture) => [architecture.id, architecture] as const))(
  "%s",
  (_, one) => {
    const model = { kind: "dc-ae", config: parseOfficialConfig(one.official_config) } as const;
    const specs = modelParameters(model);

    test("official names and shapes", () => {
      const lines = specs.map(({ name, shape }) => tensorLine(name, shape)).sort();
      expect(lines).toEqual(manifestTensors(one, "official"));
      expect(lines).toHaveLength(one.tensor_count_official);
      expect(planLines(planWeights(specs, "official"))).toEqual(lines);
    });

    test("diffusers names and shapes, from each official name to its own", () => {
      const plan = planWeights(specs, "diffusers");
      expect(planLines(plan)).toEqual(manifestTensors(one, "diffusers"));
      expect(planLines(plan)).toHaveLength(one.tensor_count_diffusers);
      const targets = new Map(plan.map(({ spec, pieces }) => [spec.name, pieces]));
      for (const [name, shape, target] of one.tensors) {
        const expected = typeof target === "string" ? [[target, shape]] : target;
        expect(targets.get(name)?.map((piece) => [piece.name, piece.shape])).toEqual(expected);
      }
    });

    test("counts and types", () => {
      expect(countParameters(specs)).toEqual({ ...one.params, other: 0 });
      for (const { name, dtype } of specs) {
        expect(dtype).toBe(name.endsWith("num_batches_tracked") ? "int64" : "float32");
      }
    });
  },
);

describe("SD-VAE", () => {
  const preset = getPreset("sd-vae-ft-ema");
  const specs = modelParameters(preset);

  test("diffusers names, shapes and counts", () => {
    const lines = specs.map(({ name, shape }) => tensorLine(name, shape)).sort();
    expect(lines).toEqual(manifest.sd_vae.tensors.map(([name, shape]) => tensorLine(name, shape)).sort());
    const { encoder, decoder, quant_conv = 0, post_quant_conv = 0, total } = manifest.sd_vae.params;
    expect(countParameters(specs)).toEqual({ encoder, decoder, other: quant_conv + post_quant_conv, total });
  });

  const official = readJson("sd-vae-manifest.json") as Readonly<
    Record<string, { readonly parameters: object; readonly tensors: readonly (readonly [string, number[]])[] }>
  >;
  test.each(Object.entries(official))("%s has the names and shapes of the official class", (name, one) => {
    const preset = getPreset(name);
    const plan = planWeights(modelParameters(preset as ModelConfig), "kl-ldm");
    expect(planLines(plan)).toEqual(one.tensors.map(([tensor, shape]) => tensorLine(tensor, shape)).sort());
    expect(preset.parameters).toEqual(one.parameters);
  });

  const asymmetric = readJson("asymmetric-kl-manifest.json") as typeof official;
  test.each(Object.entries(asymmetric))("%s has the names and shapes of its class", (name, one) => {
    const preset = getPreset(name);
    const specs = modelParameters(preset as ModelConfig);
    const lines = one.tensors.map(([tensor, shape]) => tensorLine(tensor, shape)).sort();
    expect(planLines(planWeights(specs, "asymmetric-kl-diffusers"))).toEqual(lines);
    expect(preset.parameters).toEqual(one.parameters);
  });

  test("names of levels with attention in diffusers, of both years", () => {
    const specs = modelParameters(getPreset("sd-vae-f16") as ModelConfig);
    const inLevels = (format: "kl-diffusers" | "kl-diffusers-old", level: string) =>
      planWeights(specs, format)
        .flatMap(({ pieces }) => pieces.map(({ name }) => name))
        .filter((name) => name.startsWith(`${level}.attentions.`) && name.endsWith("weight"));
    const layers = (names: readonly string[], level: string, count: number) =>
      Array.from({ length: count }, (_, i) => names.map((name) => `${level}.attentions.${i}.${name}.weight`)).flat();
    const now = ["group_norm", "to_q", "to_k", "to_v", "to_out.0"];
    expect(inLevels("kl-diffusers", "encoder.down_blocks.4")).toEqual(layers(now, "encoder.down_blocks.4", 2));
    expect(inLevels("kl-diffusers", "decoder.up_blocks.0")).toEqual(layers(now, "decoder.up_blocks.0", 3));
    const old = ["group_norm", "query", "key", "value", "proj_attn"];
    expect(inLevels("kl-diffusers-old", "decoder.up_blocks.0")).toEqual(layers(old, "decoder.up_blocks.0", 3));
  });

  test.each(dcAeNames("name_map"))("names of the original code, row by row: %s", (name) => {
    const { name_map: rows, same_model_as: other } = dcAeCases.info(name) as unknown as {
      readonly name_map: readonly (readonly [string, string, string | null])[];
      readonly same_model_as: string;
    };
    const { config } = parseKlConfig(dcAeCases.info(other).config);
    const plan = planWeights(modelParameters({ kind: "sd-vae", config }), "kl-ldm");
    expect(plan).toHaveLength(rows.length);
    const targets = new Map(plan.map(({ spec, pieces }) => [spec.name, { spec, piece: pieces[0] }]));
    for (const [name, ldm, operation] of rows) {
      const { spec, piece } = targets.get(name) ?? {};
      expect(piece?.name).toBe(ldm);
      expect(piece?.shape).toEqual(operation === "as_conv1x1" ? [...(spec?.shape ?? []), 1, 1] : spec?.shape);
    }
  });
});
