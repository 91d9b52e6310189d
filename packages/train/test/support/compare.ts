/** Comparing tensors: largest absolute error relative to the largest expected magnitude. */
import type { Tensor } from "@dcae/core/graph";
import { expect } from "vitest";

export const GRADIENT_TOLERANCE = 1e-4;
export const BLOCK_TOLERANCE = 1e-5;

export function relativeError(actual: Tensor, expected: Tensor): number {
  expect(actual.shape).toEqual(expected.shape);
  const [a, b] = [actual.cast("float64").data, expected.cast("float64").data];
  let error = 0;
  let scale = 0;
  for (let i = 0; i < b.length; i++) {
    const difference = Math.abs((a[i] as number) - (b[i] as number));
    // A NaN on either side must not pass.
    error = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(error, difference);
    scale = Math.max(scale, Math.abs(b[i] as number));
  }
  return error === 0 ? 0 : error / scale;
}

export function expectClose(actual: Tensor, expected: Tensor, tolerance: number, what = ""): void {
  expect(relativeError(actual, expected), what).toBeLessThanOrEqual(tolerance);
}

/** |actual - expected| <= atol + rtol |expected|, element by element, as the training cases state their tolerance. */
export function expectWithin(
  actual: Tensor,
  expected: Tensor,
  { atol, rtol }: { readonly atol: number; readonly rtol: number },
  what = "",
): void {
  expect(actual.size, what).toBe(expected.size);
  const [a, b] = [actual.cast("float64").data, expected.cast("float64").data];
  let worst = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < b.length; i++) {
    const excess = Math.abs((a[i] as number) - (b[i] as number)) - (atol + rtol * Math.abs(b[i] as number));
    worst = Number.isNaN(excess) ? Number.POSITIVE_INFINITY : Math.max(worst, excess);
  }
  expect(worst, what).toBeLessThanOrEqual(0);
}
