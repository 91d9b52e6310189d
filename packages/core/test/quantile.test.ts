import { expect, test } from "vitest";
import { median, quantile } from "../src/quantile.js";

test("quantiles lie linearly between neighbors, whatever the order", () => {
  const values = [4, 1, 3, 2];
  expect([0, 0.25, 0.5, 1].map((share) => quantile(values, share))).toEqual([1, 1.75, 2.5, 4]);
  expect(values).toEqual([4, 1, 3, 2]);
  expect(median([7])).toBe(7);
  expect(median([5, 1, 3])).toBe(3);
});
