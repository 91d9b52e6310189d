import { describe, expect, it } from "vitest";
import { goldenJson } from "../support/golden.js";
import { formulaImage, hashFill, hashUniform } from "../support/hash-fill.js";

const check = goldenJson("hashfill_check.json");

describe("closed-form weights", () => {
  it("reproduces the uniform numbers", () => {
    for (const [k, values] of Object.entries(check.u_first_8 as Record<string, number[]>)) {
      expect(values.map((_, i) => hashUniform(Number(k), i))).toEqual(values);
    }
    for (const [k, value] of Object.entries(check.u_index_1000000 as Record<string, number>)) {
      expect(hashUniform(Number(k), 1_000_000)).toBe(value);
    }
  });

  it("reproduces the example tensors", () => {
    for (const { k, name, shape, first, last, sum_float64: sum } of check.examples) {
      const data = hashFill(k, name, shape).toFloat32();
      expect(Array.from(data.subarray(0, first.length)), name).toEqual(first.map(Math.fround));
      expect(data.at(-1), name).toBe(Math.fround(last));
      expect(data.reduce((total, value) => total + value, 0)).toBeCloseTo(sum, 9);
    }
  });

  it("reproduces the formula pictures", () => {
    const rows = (seed: number, row: number) => {
      const image = formulaImage(96, 64, seed);
      const at = (c: number, x: number) => image.data[(row * 96 + x) * 3 + c];
      return [0, 1, 2].map((c) => Array.from({ length: 8 }, (_, x) => at(c, x)));
    };
    expect(rows(0, 0)).toEqual(check.formula_image.seed0_row0_first8);
    expect(rows(3, 9)).toEqual(check.formula_image.seed3_row9_first8);
    const sum = formulaImage(96, 64, 2).data.reduce((total, value) => total + value, 0);
    expect(sum).toBe(check.formula_image.sum_h64_w96_seed2);
  });
});
