/** Laws of the decompositions behind the Frechet distance. */
import { createRandom } from "@dcae/core/graph";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pivotedCholesky } from "../../src/linalg/nuclear-norm.js";
import { singularValues, tridiagonalEigenvalues } from "../../src/linalg/singular-values.js";
import { frechetDistance } from "../../src/metrics/frechet-distance.js";

const size = fc.integer({ min: 1, max: 12 });
const element = fc.double({ min: -10, max: 10, noNaN: true });
const options = { seed: 11, numRuns: 200 };

function matrices(rows: number, columns: number) {
  return fc.array(element, { minLength: rows * columns, maxLength: rows * columns }).map((m) => Float64Array.from(m));
}

const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);

describe("singularValues", () => {
  it("keeps the sum of squares, doesn't depend on the side it starts from, and comes in order", () => {
    const any = fc.tuple(size, size).chain(([m, n]) => fc.tuple(fc.constant(m), fc.constant(n), matrices(m, n)));
    fc.assert(
      fc.property(any, ([m, n, matrix]) => {
        const squares = sum(matrix.map((value) => value * value));
        const transposed = Float64Array.from(matrix, (_, i) => matrix[(i % m) * n + Math.floor(i / m)]!);
        const values = singularValues(matrix.slice(), m, n);
        const others = singularValues(transposed, n, m);
        expect(values).toHaveLength(Math.min(m, n));
        expect(sum(values.map((value) => value * value))).toBeCloseTo(squares, 8);
        values.forEach((value, i) => {
          expect(value).toBeCloseTo(others[i]!, 10);
          expect(value).toBeLessThanOrEqual(values[i - 1] ?? Number.POSITIVE_INFINITY);
        });
      }),
      options,
    );
  });

  it("finds the values of a diagonal matrix, zeros included", () => {
    const matrix = Float64Array.from([3, 0, 0, 0, 0, 0, 0, 0, -5]);
    const values = singularValues(matrix, 3, 3);
    [5, 3, 0].forEach((value, i) => {
      expect(values[i]).toBeCloseTo(value, 13);
    });
  });
});

describe("tridiagonalEigenvalues", () => {
  it("finds the eigenvalues 2 - 2 cos(k pi / (n + 1)) of the second difference", () => {
    const n = 50;
    const values = tridiagonalEigenvalues(new Float64Array(n).fill(2), new Float64Array(n - 1).fill(-1));
    values.forEach((value, k) => {
      expect(value).toBeCloseTo(2 - 2 * Math.cos(((k + 1) * Math.PI) / (n + 1)), 13);
    });
  });

  it("refuses numbers that aren't finite", () => {
    expect(() => tridiagonalEigenvalues(Float64Array.of(1, Number.NaN), Float64Array.of(0))).toThrow(/aren't finite/);
  });
});

describe("pivotedCholesky", () => {
  it("gives F F^T = S, with as many columns as the rank", () => {
    const thin = fc.tuple(size, size).chain(([n, r]) => fc.tuple(fc.constant(n), fc.constant(r), matrices(n, r)));
    fc.assert(
      fc.property(thin, ([n, r, g]) => {
        const matrix = new Float64Array(n * n);
        for (let i = 0; i < n; i++) {
          for (let j = 0; j < n; j++) for (let k = 0; k < r; k++) matrix[i * n + j]! += g[i * r + k]! * g[j * r + k]!;
        }
        const { factor, rank } = pivotedCholesky(matrix, n);
        expect(rank).toBeLessThanOrEqual(Math.min(n, r));
        for (let i = 0; i < n; i++) {
          for (let j = 0; j < n; j++) {
            let value = 0;
            for (let k = 0; k < rank; k++) value += factor[i * rank + k]! * factor[j * rank + k]!;
            expect(value).toBeCloseTo(matrix[i * n + j]!, 8);
          }
        }
      }),
      options,
    );
  });

  it("does so across blocks, for a singular matrix of 150 dimensions and rank 100", () => {
    const [n, r] = [150, 100];
    const g = new Float64Array(n * r);
    createRandom(5).normal(g);
    const matrix = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) for (let k = 0; k < r; k++) matrix[i * n + j]! += g[i * r + k]! * g[j * r + k]!;
    }
    const { factor, rank, extent } = pivotedCholesky(matrix, n);
    expect(rank).toBe(r);
    for (let i = 0; i < n; i++) {
      // Elements behind a row's extent are 0, which the products rely on.
      for (let k = extent[i]!; k < rank; k++) expect(factor[i * rank + k]).toBe(0);
      for (let j = 0; j < n; j++) {
        let value = 0;
        for (let k = 0; k < rank; k++) value += factor[i * rank + k]! * factor[j * rank + k]!;
        expect(Math.abs(value - matrix[i * n + j]!)).toBeLessThan(1e-11);
      }
    }
    const set = (name: string) => ({
      name,
      count: undefined,
      mean: new Float64Array(n),
      covariance: matrix,
      stored: "float64" as const,
    });
    expect(frechetDistance(set("a"), set("b")).distance).toBeLessThan(1e-9);
  });

  it("says what is wrong with a matrix that is no covariance", () => {
    const indefinite = Float64Array.from([1, 2, 2, 1]);
    expect(() => pivotedCholesky(indefinite, 2, { name: "sigma" })).toThrow(
      /sigma isn't a covariance: it has a negative/,
    );
    const invalid = Float64Array.from([1, 0, Number.NaN, 1]);
    expect(() => pivotedCholesky(invalid, 2, { name: "sigma" })).toThrow(/sigma has NaN at \[1, 0\]/);
  });
});

describe("frechetDistance", () => {
  it("is the squared distance of the means plus that of the deviations in one dimension", () => {
    const gaussian = fc.tuple(element, fc.double({ min: 0, max: 100, noNaN: true }));
    fc.assert(
      fc.property(gaussian, gaussian, ([m1, v1], [m2, v2]) => {
        const of = (mean: number, variance: number) => ({
          name: "x",
          count: undefined,
          mean: Float64Array.of(mean),
          covariance: Float64Array.of(variance),
          stored: "float64" as const,
        });
        const expected = (m1 - m2) ** 2 + (Math.sqrt(v1) - Math.sqrt(v2)) ** 2;
        expect(frechetDistance(of(m1, v1), of(m2, v2)).distance).toBeCloseTo(expected, 9);
      }),
      options,
    );
  });

  it("refuses other dimensions and warns about few images", () => {
    const of = (dimensions: number, count: number | undefined) => ({
      name: `set of ${dimensions}`,
      count,
      mean: new Float64Array(dimensions),
      covariance: Float64Array.from({ length: dimensions ** 2 }, (_, i) => (i % (dimensions + 1) === 0 ? 1 : 0)),
      stored: "float64" as const,
    });
    expect(() => frechetDistance(of(3, 10), of(4, 10))).toThrow(/set of 3 has 3 dimensions, set of 4 has 4/);
    const { warnings } = frechetDistance(of(3, 3), of(3, 5));
    expect(warnings).toEqual([
      expect.stringContaining("set of 3 has 3 images for 3 dimensions"),
      expect.stringContaining("the sets have 3 and 5 images"),
    ]);
  });
});
