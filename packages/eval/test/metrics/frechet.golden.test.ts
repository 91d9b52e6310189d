import { expectGolden, type GoldenCase } from "@dcae/test-support/golden";
import { describe, expect, it } from "vitest";
import { frechetDistance } from "../../src/metrics/frechet-distance.js";
import { createFeatureAccumulator, type FeatureStatistics } from "../../src/statistics/feature-accumulator.js";
import { goldenNames, loadGolden } from "../support/golden.js";

function statisticsOf(golden: GoldenCase, set: 1 | 2): FeatureStatistics {
  return {
    name: `set ${set}`,
    count: undefined,
    mean: golden.tensor(`in.mu${set}`).data as Float64Array,
    covariance: golden.tensor(`in.sigma${set}`).data as Float64Array,
    stored: "float64",
  };
}

describe("Frechet distance", () => {
  const names = goldenNames("frechet");

  it.each(names)("%s", async (name) => {
    const golden = await loadGolden(name);
    const { distance, warnings, ranks } = frechetDistance(statisticsOf(golden, 1), statisticsOf(golden, 2));
    // A general root of the product, its eigenvalues, and the symmetric form.
    for (const algorithm of ["fid_sqrtm", "fid_eig", "fid_symmetric"]) {
      expectGolden(golden, `out.${algorithm}`, [distance]);
    }
    const [expected] = golden.values("out.fid_symmetric");
    // Much closer than the tolerance: no squares are rooted on the way.
    expect(Math.abs(distance - (expected as number))).toBeLessThanOrEqual(1e-6 * (expected as number) + 1e-6);
    const warned = warnings.some((text) => text.includes("rank"));
    expect(warned).toBe(ranks.some((rank) => rank < (golden.config.d as number)));
    if (name === "frechet_rank_deficient") expect(warned).toBe(true);
    if (name === "frechet_well") expect(warned).toBe(false);
  });

  it("is symmetric, and 0 to the last digits for a set and itself", async () => {
    for (const name of names) {
      const golden = await loadGolden(name);
      const [a, b] = [statisticsOf(golden, 1), statisticsOf(golden, 2)];
      expect(frechetDistance(a, b).distance).toBeCloseTo(frechetDistance(b, a).distance, 8);
      expect(frechetDistance(a, a).distance).toBeLessThan(1e-10);
    }
  });
});

describe("statistics that can't be used", () => {
  const set = (covariance: number[], name?: string): FeatureStatistics => ({
    ...(name === undefined ? {} : { name }),
    count: 10,
    mean: new Float64Array(2),
    covariance: Float64Array.from(covariance),
    stored: "float64",
  });
  const good = set([1, 0, 0, 1]);

  it("are named, or called the first and the second set", () => {
    expect(() => frechetDistance(set([Number.NaN, 0, 0, 1]), good)).toThrow(/the covariance of the first set/);
    expect(() => frechetDistance(good, set([Number.NaN, 0, 0, 1]))).toThrow(/the covariance of the second set/);
    expect(() => frechetDistance(good, set([-1, 0, 0, -1], ""))).toThrow(/the covariance of the second set/);
    expect(() => frechetDistance(set([1, 0, 0, 1], "a.npz"), set([1, 0, 0], "b.npz"))).toThrow(
      /b\.npz has a mean of 2 and a covariance of 3 numbers/,
    );
    expect(frechetDistance(good, set([1, 0, 0, 1])).warnings.join()).not.toContain("undefined");
  });
});

describe("feature statistics", () => {
  it("fid_stats", async () => {
    const golden = await loadGolden("fid_stats");
    const features = golden.tensor("in.features");
    const accumulator = createFeatureAccumulator(features.shape[1] as number);
    accumulator.add(features.toFloat32());
    const { mean, covariance } = accumulator.statistics("features");
    for (const version of ["", "_np"]) {
      expectGolden(golden, `out.mu${version}`, mean);
      expectGolden(golden, `out.sigma${version}`, covariance);
    }
    const exact = golden.values("out.sigma_np");
    const worst = covariance.reduce((most, value, i) => Math.max(most, Math.abs(value - (exact[i] as number))), 0);
    expect(worst).toBeLessThan(1e-12 * Math.max(1, ...exact.map(Math.abs)));
  });
});
