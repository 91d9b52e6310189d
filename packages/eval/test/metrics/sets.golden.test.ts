import { useEngine } from "@dcae/test-support/engine";
import { expectGolden, type GoldenCase } from "@dcae/test-support/golden";
import { describe, expect, it } from "vitest";
import { cmmd } from "../../src/metrics/cmmd.js";
import { inceptionScore, numpyPermutation } from "../../src/metrics/inception-score.js";
import { neighborAccuracy, neighborRadii, precisionRecall } from "../../src/metrics/nearest-neighbors.js";
import type { VectorSet } from "../../src/metrics/pairwise.js";
import { goldenNames, loadGolden } from "../support/golden.js";

const engine = useEngine();

function setOf(golden: GoldenCase, key: string): VectorSet {
  const tensor = golden.tensor(key);
  return { data: tensor.toFloat32(), dimensions: tensor.shape[1] as number };
}

describe("inception score", () => {
  it("equals the reference, shuffled, in order and in parts of fixed size", async () => {
    const golden = await loadGolden("inception_score");
    const logits = golden.tensor("in.logits");
    const [count, classes] = logits.shape as [number, number];
    const { splits, rng_seed: seed, split_size: size } = golden.config;
    expectGolden(golden, "out.permutation", numpyPermutation(count, seed));
    const score = (options: Parameters<typeof inceptionScore>[2]) =>
      inceptionScore(logits.toFloat32(), classes, options);
    const shuffled = score({ splits, seed });
    expectGolden(golden, "out.shuffled", [shuffled.mean, shuffled.std]);
    const ordered = score({ splits, seed: null });
    expectGolden(golden, "out.ordered", [ordered.mean, ordered.std]);
    expectGolden(golden, "out.fixed_size_mean", [score({ splits: { size }, seed: null }).mean]);
  });

  it("is 1 when every image has the same distribution and the number of classes when all are certain", () => {
    const same = Float32Array.from({ length: 8 * 4 }, (_, i) => i % 4);
    expect(inceptionScore(same, 4, { splits: 2 }).mean).toBeCloseTo(1, 12);
    const certain = Float32Array.from({ length: 8 * 4 }, (_, i) => (i % 4 === Math.floor(i / 4) % 4 ? 1000 : 0));
    expect(inceptionScore(certain, 4, { splits: 1 }).mean).toBeCloseTo(4, 12);
  });

  it("says when there are fewer images than parts", () => {
    expect(() => inceptionScore(new Float32Array(5 * 3), 3)).toThrow(/5 images can't be cut into 10 parts/);
  });
});

describe("precision and recall", () => {
  it("equals the reference", async () => {
    const golden = await loadGolden("precision_recall");
    const [reference, generated] = [setOf(golden, "in.ref"), setOf(golden, "in.gen")];
    const options = { engine, k: golden.config.k };
    expectGolden(golden, "out.radii_sq_ref", await neighborRadii(reference, options));
    expectGolden(golden, "out.radii_sq_gen", await neighborRadii(generated, options));
    const { precision, recall } = await precisionRecall(reference, generated, options);
    // Counts of images, so the float32 numbers of the reference are met exactly, however it computes distances.
    for (const prefix of ["", "cdist_"]) {
      expect([precision, recall].map(Math.fround)).toEqual(
        ["precision", "recall"].map((key) => golden.values(`out.${prefix}${key}`)[0]),
      );
    }
  });

  it("works across several blocks", async () => {
    // 1500 rows are two blocks; points on a line, so that the fourth smallest distance is known.
    const data = Float32Array.from({ length: 1500 }, (_, i) => i / 8);
    const radii = await neighborRadii({ data, dimensions: 1 }, { engine: engine });
    expect(radii[700]).toBe(4 / 64);
    expect(radii[0]).toBe(9 / 64);
    expect(radii[1499]).toBe(9 / 64);
  });

  it("says when there are too few images", async () => {
    const three = { data: new Float32Array(6), dimensions: 2 };
    await expect(neighborRadii(three, { engine: engine })).rejects.toThrow(/among 3 images none has 3 neighbors/);
  });
});

describe("CMMD", () => {
  it.each(goldenNames("cmmd"))("equals the reference in float64 (%s)", async (name) => {
    const golden = await loadGolden(name);
    const { value, count } = await cmmd(setOf(golden, "in.x"), setOf(golden, "in.y"), { engine: engine });
    const [ofX, ofY] = ["in.x", "in.y"].map((key) => golden.tensor(key).shape[0]) as [number, number];
    expect(count).toBe(Math.min(ofX, ofY));
    expectGolden(golden, "out.cmmd_f64", [value]);
    expect(value / (golden.values("out.cmmd_f64")[0] as number)).toBeCloseTo(1, 6);
    expectGolden(golden, "out.cmmd", [value]);
    expectGolden(golden, "out.cmmd_port", [value]);
  });

  it("is 0 for a set and itself", async () => {
    const golden = await loadGolden("cmmd_unit");
    const x = setOf(golden, "in.x");
    expect((await cmmd(x, x, { engine: engine })).value).toBe(0);
  });
});

describe("accuracy of nearest neighbors", () => {
  it("equals the reference", async () => {
    const golden = await loadGolden("self_knn");
    const labels = golden.values("in.labels");
    const { k, temperature } = golden.config;
    const accuracy = await neighborAccuracy(setOf(golden, "in.features"), labels, {
      engine,
      k,
      temperature,
    });
    expectGolden(golden, "out.accuracy", accuracy);
  });
});
