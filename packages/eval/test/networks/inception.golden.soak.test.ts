import type { Tensor } from "@dcae/core";
import { useEngine } from "@dcae/test-support/engine";
import { expectGolden } from "@dcae/test-support/golden";
import { formulaImage } from "@dcae/test-support/hash-fill";
import { networkWeights } from "@dcae/test-support/network-weights";
import { runProgram } from "@dcae/test-support/run-graph";
import { describe, it } from "vitest";
import { inceptionProgram } from "../../src/networks/inception.js";
import { picturesToTensor } from "../../src/networks/pictures.js";
import { goldenNames, loadGolden } from "../support/golden.js";

const engine = useEngine();

describe("the full FID network with closed-form weights", () => {
  const weights = networkWeights("manifest_inception_fid");

  it.each(goldenNames("fid_inception", ({ hashfill }) => hashfill === true))("%s", async (name) => {
    const golden = await loadGolden(name);
    const { h: height, w: width, seeds } = golden.config.formula_image;
    const images = (seeds as number[]).map((seed) => formulaImage(width, height, seed));
    const pictures = picturesToTensor(images);
    const size = { count: images.length, height, width };
    const fid = inceptionProgram({ ...size, pipeline: "pytorch-fid", outputs: ["pool", "taps"] });
    const { pool, ...taps } = await runProgram(engine, fid, { pictures }, weights);
    for (const [tap, tensor] of Object.entries(taps)) expectGolden(golden, `out.${tap}`, tensor.toFloat32());
    expectGolden(golden, "out.feat_2048", (pool as Tensor).toFloat32());
    expectGolden(golden, "out.official_2048", (pool as Tensor).toFloat32());
    const score = inceptionProgram({ ...size, pipeline: "tf1", outputs: ["pool", "logits"] });
    const results = await runProgram(engine, score, { pictures }, weights);
    expectGolden(golden, "out.tf1_2048", (results.pool as Tensor).toFloat32());
    expectGolden(golden, "out.tf1_logits_unbiased", (results.logits as Tensor).toFloat32());
  });
});
