import { expect, test } from "vitest";
import { median, quantile, summarizeTimes } from "../src/quantile.js";

test("quantiles lie linearly between neighbors, whatever the order", () => {
  const values = [4, 1, 3, 2];
  expect([0, 0.25, 0.5, 1].map((share) => quantile(values, share))).toEqual([1, 1.75, 2.5, 4]);
  expect(values).toEqual([4, 1, 3, 2]);
  expect(median([7])).toBe(7);
  expect(median([5, 1, 3])).toBe(3);
});

test("times of runs: the median, and half of the middle half over it", () => {
  expect(summarizeTimes([5, 1, 3, 2, 4])).toEqual({ median: 3, min: 1, max: 5, spread: 1 / 3, runs: 5 });
  expect(summarizeTimes([2])).toEqual({ median: 2, min: 2, max: 2, spread: 0, runs: 1 });
});
