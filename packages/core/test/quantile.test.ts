import { expect, test } from "vitest";
import { summarizeTimes } from "../src/quantile.js";

test("times of runs: the median, and half of the middle half over it", () => {
  expect(summarizeTimes([5, 1, 3, 2, 4])).toEqual({ median: 3, min: 1, max: 5, spread: 1 / 3, runs: 5 });
  expect(summarizeTimes([2])).toEqual({ median: 2, min: 2, max: 2, spread: 0, runs: 1 });
});
