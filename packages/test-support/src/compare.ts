/** Comparing numbers: relative to the largest expected magnitude, or element by element. */
import type { Tensor } from "@dcae/core/graph";
import { expect } from "vitest";

export const SCHEDULE_TOLERANCE = 1e-6;
export const BLOCK_TOLERANCE = 1e-5;
/**
 * A block in Winograd's form with tiles of 6, F(6x6, 3x3): its transforms lose a digit. Without fused multiply-add, as on CPUs
 * before AVX2, the least accurate block is a tenth over `BLOCK_TOLERANCE`.
 */
export const LARGE_TILES_TOLERANCE = 1e-4;
export const MODEL_TOLERANCE = 1e-4;
export const GRADIENT_TOLERANCE = 1e-4;

export type Numbers = Tensor | ArrayLike<number>;

export interface Tolerance {
  readonly atol: number;
  readonly rtol: number;
}

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

export function expectClose(actual: Numbers, expected: Numbers, tolerance: number, what = ""): void {
  expect(relativeError(actual, expected), what).toBeLessThanOrEqual(tolerance);
}

/** |actual - expected| <= atol + rtol |expected| for every element; shapes may differ, sizes may not. */
export function expectWithin(actual: Numbers, expected: Numbers, { atol, rtol }: Tolerance, what = ""): void {
  const [a, b] = [numbersOf(actual), numbersOf(expected)];
  expect(a.length, what).toBe(b.length);
  let worst = 0;
  for (let i = 0; i < b.length; i++) {
    const [got, wanted] = [a[i] as number, b[i] as number];
    if (got === wanted) continue;
    const error = Math.abs(got - wanted) / (atol + rtol * Math.abs(wanted));
    worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(worst, error);
  }
  expect(worst, `${what}: largest error as a multiple of its tolerance`).toBeLessThanOrEqual(1);
}
