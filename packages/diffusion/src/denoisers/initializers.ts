/**
 * How the parameters of denoisers are drawn (diffusion.md, "Initialisation" of each model).
 *
 * The reference cuts its normals at +-2, which at a standard deviation of 0.02 is 100 sigma: a plain normal is the same.
 */
import type { Initializer } from "@dcae/core/graph";

export const NORMAL_002: Initializer = { kind: "normal", std: 0.02 };
export const STANDARD_NORMAL: Initializer = { kind: "normal", std: 1 };
export const ZERO: Initializer = { kind: "constant", value: 0 };

/** Glorot and Bengio (2010): uniform in +-sqrt(6 / (fanIn + fanOut)). */
export function xavierUniform(fanIn: number, fanOut: number): Initializer {
  return { kind: "uniform", bound: Math.sqrt(6 / (fanIn + fanOut)) };
}

/** PyTorch's default of convolutions: uniform in +-1/sqrt(fanIn). */
export function fanInUniform(fanIn: number): Initializer {
  return { kind: "uniform", bound: 1 / Math.sqrt(fanIn) };
}
