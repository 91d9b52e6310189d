/** Models that are known exactly: data is N(mu, s^2) in every element, x = alpha data + sigma noise. */
import { Tensor } from "@dcae/core/graph";
import type { GoldenCase } from "./golden.js";

export interface ClosedForm {
  noise(x: Float32Array, alpha: number, sigma: number): Float32Array;
  data(x: Float32Array, alpha: number, sigma: number): Float32Array;
}

export function closedForm(golden: GoldenCase): ClosedForm {
  const mu = golden.tensor("in.mu").toFloat32();
  const { s } = golden.config as { s: number };
  // mu [1, C, S, S] broadcasts over the batch.
  const each = (x: Float32Array, value: (x: number, mu: number) => number) =>
    x.map((element, i) => value(element, mu[i % mu.length]!));
  return {
    noise: (x, alpha, sigma) => each(x, (v, m) => (sigma * (v - alpha * m)) / (alpha ** 2 * s ** 2 + sigma ** 2)),
    data: (x, alpha, sigma) =>
      each(x, (v, m) => m + (alpha * s ** 2 * (v - alpha * m)) / (alpha ** 2 * s ** 2 + sigma ** 2)),
  };
}

/** The noise of each draw, in order: slices of in.step_noise (of the doubled batch the first half). */
export function recordedNoise(golden: GoldenCase): (size: number) => Float32Array {
  const noise = golden.tensor("in.step_noise");
  let draw = 0;
  return (size) => noise.row(draw++).toFloat32().slice(0, size);
}

export const withShape = (values: Float32Array, like: Tensor): Tensor => Tensor.float32(values, like.shape);
