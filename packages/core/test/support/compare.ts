/** Comparing tensors: largest absolute error relative to the largest expected magnitude. */
import { expect } from "vitest";
import type { Tensor } from "../../src/graph/tensor.js";

export const BLOCK_TOLERANCE = 1e-5;
/**
 * A block in Winograd's form with tiles of 6, F(6x6, 3x3): its transforms lose a digit. Without fused multiply-add, as on CPUs
 * before AVX2, the least accurate block is a tenth over `BLOCK_TOLERANCE`.
 */
export const LARGE_TILES_TOLERANCE = 1e-4;
export const MODEL_TOLERANCE = 1e-4;

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

export function expectClose(actual: Tensor, expected: Tensor, tolerance: number): void {
  expect(relativeError(actual, expected)).toBeLessThanOrEqual(tolerance);
}
