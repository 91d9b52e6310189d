import type { Tensor } from "@dcae/core";
import { add, createProgram, createScope, input } from "@dcae/core/graph";
import { describe, expect, it } from "vitest";
import { inception } from "../../src/networks/inception.js";
import { inceptionProgram } from "../../src/networks/inception-program.js";
import { picturesToTensor } from "../../src/networks/pictures.js";
import { runOnce, useEngine } from "../support/engine.js";
import { expectGolden, goldenJson, loadGolden, tensorOf } from "../support/golden.js";
import { formulaImage, hashFilledWeights } from "../support/hash-fill.js";

const engine = useEngine();

describe("the FID network", () => {
  it("equals the reference at 1/16 width, block by block", async () => {
    const golden = await loadGolden("fid_inception_tiny");
    const { width_divisor: widthDivisor, classes, store } = golden.config;
    const x = tensorOf(golden, "in.x");
    const scope = createScope();
    const values = inception(scope, input("x", x.shape), { widthDivisor, classes });
    const bias = scope.at("fc").parameter("bias", [classes]);
    const blocks = (store as string[]).map((name) => [name, values.blocks.get(name)] as const);
    const outputs = { pool3: values.pool, logits_unbiased: values.logits, logits: add(values.logits, bias) };
    const program = createProgram("tiny", { ...Object.fromEntries(blocks), ...outputs } as typeof outputs);
    const results = await runOnce(engine.current, program, { x }, golden.weights);
    expect(Object.keys(results)).toHaveLength(11);
    for (const [name, tensor] of Object.entries(results)) expectGolden(golden, `out.${name}`, tensor.toFloat32());
  });

  it("asks for the tensors of the published file", () => {
    const scope = createScope();
    inception(scope, input("x", [1, 3, 299, 299]));
    const { tensors } = goldenJson("manifest_inception_fid.json");
    // The published network's last bias has no use: the inception score takes logits without it.
    const published = tensors.filter(({ name }: { name: string }) => name !== "fc.bias");
    const asked = [...scope.parameters.values()].map(({ name, shape }) => `${name} ${shape}`).sort();
    expect(asked).toEqual(
      published.map((entry: { name: string; shape: number[] }) => `${entry.name} ${entry.shape}`).sort(),
    );
  });
});

describe("the full FID network with closed-form weights", () => {
  const weights = hashFilledWeights("manifest_inception_fid.json");

  it.each(["fid_inception_full_hash_299", "fid_inception_full_hash_resized"])("%s", async (name) => {
    const golden = await loadGolden(name);
    const { h: height, w: width, seeds } = golden.config.formula_image;
    const images = (seeds as number[]).map((seed) => formulaImage(width, height, seed));
    const pictures = picturesToTensor(images);
    const size = { count: images.length, height, width };
    const fid = inceptionProgram({ ...size, pipeline: "pytorch-fid", outputs: ["pool", "taps"] });
    const { pool, ...taps } = await runOnce(engine.current, fid, { pictures }, weights);
    for (const [tap, tensor] of Object.entries(taps)) expectGolden(golden, `out.${tap}`, tensor.toFloat32());
    expectGolden(golden, "out.feat_2048", (pool as Tensor).toFloat32());
    expectGolden(golden, "out.official_2048", (pool as Tensor).toFloat32());
    const score = inceptionProgram({ ...size, pipeline: "tf1", outputs: ["pool", "logits"] });
    const results = await runOnce(engine.current, score, { pictures }, weights);
    expectGolden(golden, "out.tf1_2048", (results.pool as Tensor).toFloat32());
    expectGolden(golden, "out.tf1_logits_unbiased", (results.logits as Tensor).toFloat32());
  });
});
