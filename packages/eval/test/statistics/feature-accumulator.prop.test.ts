/** Shards give exactly the statistics of the whole. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createFeatureAccumulator } from "../../src/statistics/feature-accumulator.js";

const D = 5;
const vector = fc.array(fc.float({ min: -300, max: 300, noNaN: true }), { minLength: D, maxLength: D });
const options = { seed: 7, numRuns: 200 };

function summed(vectors: readonly (readonly number[])[]) {
  const accumulator = createFeatureAccumulator(D);
  accumulator.add(Float32Array.from(vectors.flat()));
  return accumulator;
}

describe("createFeatureAccumulator", () => {
  it("gives the same bits for any cut, any order and any batch size", () => {
    const cuts = fc.array(fc.nat(), { maxLength: 6 });
    fc.assert(
      fc.property(fc.array(vector, { minLength: 2, maxLength: 40 }), cuts, fc.nat(), (vectors, positions, turn) => {
        const whole = summed(vectors);
        const rotated = [...vectors.slice(turn % vectors.length), ...vectors.slice(0, turn % vectors.length)];
        const bounds = [0, ...positions.map((at) => at % vectors.length).sort((a, b) => a - b), vectors.length];
        const merged = createFeatureAccumulator(D);
        bounds.slice(1).forEach((end, i) => {
          merged.merge(summed(rotated.slice(bounds[i], end)).toSums());
        });
        expect(merged.count).toBe(vectors.length);
        expect(merged.toSums()).toEqual(whole.toSums());
        expect(merged.statistics("x")).toEqual(whole.statistics("x"));
      }),
      options,
    );
  });

  it("agrees with the two-pass formula", () => {
    fc.assert(
      fc.property(fc.array(vector, { minLength: 2, maxLength: 30 }), (vectors) => {
        const rows = vectors.map((row) => row.map(Math.fround));
        const { mean, covariance } = summed(vectors).statistics("x");
        const expected = Array.from({ length: D }, (_, i) => rows.reduce((s, row) => s + row[i]!, 0) / rows.length);
        expected.forEach((value, i) => {
          expect(mean[i]).toBeCloseTo(value, 9);
          for (let j = 0; j < D; j++) {
            const sum = rows.reduce((s, row) => s + (row[i]! - value) * (row[j]! - expected[j]!), 0);
            expect(covariance[i * D + j]).toBeCloseTo(sum / (rows.length - 1), 7);
          }
        });
      }),
      options,
    );
  });

  it("names the image whose features are invalid", () => {
    const accumulator = summed([[1, 2, 3, 4, 5]]);
    expect(() => accumulator.add(Float32Array.from([1, 2, 3, 4, 5, 1, Number.NaN, 3, 4, 5]))).toThrow(
      /features of image 2: NaN at position 1/,
    );
  });

  it("needs two images", () => {
    expect(() => summed([[1, 2, 3, 4, 5]]).statistics("photos")).toThrow(
      /photos: a covariance needs at least 2 images/,
    );
  });

  it("refuses sums that would no longer be exact", () => {
    const accumulator = createFeatureAccumulator(1);
    expect(() => accumulator.add(new Float32Array(2000).fill(30_000))).toThrow(/sum up to more than/);
  });
});
