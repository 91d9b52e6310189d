import { formulaImage, hashFill, hashUniform } from "@dcae/test-support/hash-fill";
import { describe, expect, it } from "vitest";
import { goldenJson } from "../support/golden.js";

const check = goldenJson("hashfill_check");

describe("closed-form weights", () => {
  it("reproduces the uniform numbers", () => {
    for (const [k, values] of Object.entries(check.u_first_8 as Record<string, number[]>)) {
      expect(values.map((_, i) => hashUniform(Number(k), i))).toEqual(values);
    }
    for (const [key, values] of Object.entries(check)) {
      const index = /^u_index_(\d+)$/.exec(key)?.[1];
      if (index === undefined) continue;
      for (const [k, value] of Object.entries(values as Record<string, number>)) {
        expect(hashUniform(Number(k), Number(index))).toBe(value);
      }
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
    let checked = 0;
    for (const [key, expected] of Object.entries(check.formula_image as Record<string, unknown>)) {
      const row = /^seed(\d+)_row(\d+)_first(\d+)$/.exec(key)?.slice(1).map(Number);
      const whole = /^sum_h(\d+)_w(\d+)_seed(\d+)$/.exec(key)?.slice(1).map(Number);
      if (row !== undefined) {
        const [seed, y, length] = row as [number, number, number];
        const { data } = formulaImage(length, y + 1, seed);
        const at = (c: number, x: number) => data[(y * length + x) * 3 + c];
        expect([0, 1, 2].map((c) => Array.from({ length }, (_, x) => at(c, x)))).toEqual(expected);
        checked++;
      }
      if (whole !== undefined) {
        const [height, width, seed] = whole as [number, number, number];
        expect(formulaImage(width, height, seed).data.reduce((total, value) => total + value, 0)).toBe(expected);
        checked++;
      }
    }
    expect(checked).toBeGreaterThan(0);
  });
});
