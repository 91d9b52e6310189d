/** Comparing numbers: relative to the largest expected magnitude, or with the tolerance of a golden case. */
import type { Tensor } from "@dcae/core/graph";
import { expect } from "vitest";
import type { GoldenCase, GoldenTolerance } from "./golden.js";

export const BLOCK_TOLERANCE = 1e-5;
export const MODEL_TOLERANCE = 1e-4;
export const SCHEDULE_TOLERANCE = 1e-6;

type Numbers = Tensor | ArrayLike<number>;

function numbersOf(values: Numbers): ArrayLike<number> {
  return "dtype" in values ? (values.cast("float64").data as Float64Array) : values;
}

/** Largest absolute error over the largest expected magnitude; infinite where anything isn't a number. */
export function relativeError(actual: Numbers, expected: Numbers): number {
  if ("dtype" in actual && "dtype" in expected) expect(actual.shape).toEqual(expected.shape);
  const [a, b] = [numbersOf(actual), numbersOf(expected)];
  expect(a.length).toBe(b.length);
  let error = 0;
  let scale = 0;
  for (let i = 0; i < b.length; i++) {
    const difference = Math.abs((a[i] as number) - (b[i] as number));
    error = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(error, difference);
    scale = Math.max(scale, Math.abs(b[i] as number));
  }
  return error === 0 ? 0 : error / scale;
}

export function expectClose(actual: Numbers, expected: Numbers, tolerance: number): void {
  expect(relativeError(actual, expected)).toBeLessThanOrEqual(tolerance);
}

function toleranceOf(golden: GoldenCase, name: string): GoldenTolerance {
  const byTensor = golden.tolerance_by_tensor ?? {};
  const key = Object.keys(byTensor).find((pattern) =>
    pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern,
  );
  return key === undefined ? golden.tolerance : (byTensor[key] as GoldenTolerance);
}

/** |actual - expected| <= abs + rel * |expected| for every element, with the tolerance that the case states for it. */
export function expectGolden(golden: GoldenCase, name: string, actual: Numbers): void {
  const expected = golden.tensor(name);
  const { abs, rel } = toleranceOf(golden, name);
  const [a, b] = [numbersOf(actual), numbersOf(expected)];
  expect(a.length, name).toBe(b.length);
  let worst = 0;
  for (let i = 0; i < b.length; i++) {
    const difference = Math.abs((a[i] as number) - (b[i] as number));
    if (difference === 0) continue;
    const excess = difference / (abs + rel * Math.abs(b[i] as number));
    worst = Number.isNaN(excess) ? Number.POSITIVE_INFINITY : Math.max(worst, excess);
  }
  expect(worst, `${golden.case} ${name}: error in units of its tolerance`).toBeLessThanOrEqual(1);
}
