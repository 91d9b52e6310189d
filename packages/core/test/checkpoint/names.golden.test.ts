/** The values of the reference's models, moved between formats in both directions. */

import { type DcAeCase, dcAeCases, dcAeSnapshots, officialConfigOf } from "@dcae/test-support/golden-dcae";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { recognizeFormat } from "../../src/checkpoint/names/infer-model.js";
import { checkWeights, mapWeights, planWeights, unmapWeights } from "../../src/checkpoint/names/weight-plan.js";
import { openSafetensorsFile } from "../../src/checkpoint/safetensors/file.node.js";
import type { Weights } from "../../src/checkpoint/weights.js";
import type { Tensor } from "../../src/graph/tensor.js";
import type { ParameterSpec } from "../../src/graph/value.js";
import { parseOfficialConfig } from "../../src/models/dc-ae/official-config.js";
import { modelParameters } from "../../src/models/model-programs.js";
import { parseKlConfig } from "../../src/models/sd-vae/sd-vae-config.js";
import { readAll } from "../support/memory-weights.js";

function expectSame(actual: ReadonlyMap<string, Tensor>, expected: ReadonlyMap<string, Tensor>): void {
  expect([...actual.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [name, tensor] of expected) {
    const other = actual.get(name) as Tensor;
    expect([name, other.dtype, other.shape]).toEqual([name, tensor.dtype, tensor.shape]);
    expect(Buffer.compare(other.bytes, tensor.bytes), name).toBe(0);
  }
}

describe.each(dcAeSnapshots())("%s", (name) => {
  let golden: DcAeCase;
  let file: Weights;
  beforeAll(async () => {
    golden = await dcAeCases.load(name);
    file = await openSafetensorsFile(dcAeCases.path(`${name}_diffusers/diffusion_pytorch_model.safetensors`));
  });
  afterAll(() => file.close());
  const specs = () => {
    const config = parseOfficialConfig(officialConfigOf(golden));
    return modelParameters({ kind: "dc-ae", config });
  };

  test("formats are recognized", () => {
    expect(recognizeFormat(golden.weights.entries.keys())).toBe("official");
    expect(recognizeFormat(file.entries.keys())).toBe("diffusers");
  });

  test("diffusers to official", async () => {
    const plan = planWeights(specs(), "diffusers");
    checkWeights(plan, file);
    const mapped = mapWeights(file, plan);
    expectSame(await readAll(mapped), await readAll(golden.weights));
  });

  test("official to diffusers", async () => {
    checkWeights(planWeights(specs(), "official"), golden.weights);
    const unmapped = unmapWeights(golden.weights, planWeights(specs(), "diffusers"));
    expectSame(await readAll(unmapped), await readAll(file));
  });

  test("parameters that are one array keep their place in the file", () => {
    const plan = planWeights(specs(), "diffusers");
    const mapped = mapWeights(file, plan);
    for (const { spec, pieces } of plan) {
      const expected = pieces.length === 1 ? file.entries.get((pieces[0] as (typeof pieces)[number]).name) : undefined;
      expect(mapped.entries.get(spec.name)?.location, spec.name).toEqual(expected?.location);
    }
    const place = mapped.entries.get((specs()[0] as ParameterSpec).name)?.location;
    expect(place?.byteLength).toBeGreaterThan(0);
  });
});

describe("kl_f8", () => {
  const specsOf = (golden: DcAeCase) =>
    modelParameters({ kind: "sd-vae", config: parseKlConfig(golden.config).config });

  test("current names are the model's own", async () => {
    const golden = await dcAeCases.load("kl_f8");
    expect(recognizeFormat(golden.weights.entries.keys())).toBe("kl-diffusers");
    checkWeights(planWeights(specsOf(golden), "kl-diffusers"), golden.weights);
  });

  test("attention names of 2022, in both directions", async () => {
    const golden = await dcAeCases.load("kl_f8");
    const file = await openSafetensorsFile(dcAeCases.path("kl_f8_hub_old_names/diffusion_pytorch_model.safetensors"));
    expect(recognizeFormat(file.entries.keys())).toBe("kl-diffusers-old");
    const plan = planWeights(specsOf(golden), "kl-diffusers-old");
    checkWeights(plan, file);
    expectSame(await readAll(mapWeights(file, plan)), await readAll(golden.weights));
    expectSame(await readAll(unmapWeights(golden.weights, plan)), await readAll(file));
    await file.close();
  });

  test("names of the original code, there and back", async () => {
    const golden = await dcAeCases.load("kl_f8");
    const plan = planWeights(specsOf(golden), "kl-ldm");
    const ldm = unmapWeights(golden.weights, plan);
    expect(recognizeFormat(ldm.entries.keys())).toBe("kl-ldm");
    // Linear layers of the attention are convolutions there.
    const width = golden.config.block_out_channels.at(-1);
    expect(ldm.entries.get("encoder.mid.attn_1.q.weight")?.shape).toEqual([width, width, 1, 1]);
    checkWeights(plan, ldm);
    expectSame(await readAll(mapWeights(ldm, plan)), await readAll(golden.weights));
  });
});
