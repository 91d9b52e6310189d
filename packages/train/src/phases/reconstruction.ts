/** The reconstruction objective of all phases: L1 and a perceptual distance, LPIPS by default (training.md section 3). */
import { abs, add, input, mul, reduceMean, type Scope, sub, type Value } from "@dcae/core/graph";
import type { TrainingObjective } from "../step/training-step.js";
import { lpipsPerceptual, type Perceptual } from "./perceptual.js";

/** Options of the reconstruction loss. */
export interface ReconstructionLossOptions {
  /** Picture [N, 3, H, W] to reconstruction of the same shape; official parameter names below the scope. */
  readonly reconstruct: (scope: Scope, x: Value) => Value;
  /** Shape of a batch, [N, 3, H, W]. */
  readonly images: readonly [number, number, number, number];
  /** Default 1. */
  readonly l1Weight?: number;
  /** Of the perceptual distance. Default 1; 0 leaves it (and its weights) out. */
  readonly lpipsWeight?: number;
  /** Default: LPIPS. */
  readonly perceptual?: Perceptual | undefined;
  /** Further losses of reconstruction y of x, scalars under names of their own. Default: none. */
  readonly terms?: (scope: Scope, x: Value, y: Value) => readonly LossTerm[];
}

/** A part of a loss, which counts times its weight. */
export interface LossTerm {
  readonly name: string;
  readonly value: Value;
  readonly weight: number;
}

export interface ReconstructionLoss {
  readonly l1: Value;
  /** The values of the perceptual distance, where there is one, and of `terms`, by name. */
  readonly terms: Readonly<Record<string, Value>>;
  /** l1Weight * l1 + lpipsWeight * perceptual distance, and the terms with their weights. */
  readonly total: Value;
}

/** Losses of reconstruction `y` of `x`. Pictures are in [-1, 1]; y isn't clamped. */
export function reconstructionLoss(
  scope: Scope,
  x: Value,
  y: Value,
  options: ReconstructionLossOptions,
): ReconstructionLoss {
  const { l1Weight = 1, lpipsWeight = 1, perceptual = lpipsPerceptual() } = options;
  const l1 = l1Loss(x, y);
  const more = options.terms?.(scope, x, y) ?? [];
  const terms = Object.fromEntries(more.map(({ name, value }) => [name, value]));
  const weighted = more.reduce((sum, { value, weight }) => add(sum, mul(value, weight)), mul(l1, l1Weight));
  if (lpipsWeight === 0) return { l1, terms, total: weighted };
  const distance = reduceMean(perceptual.distance(scope, y, x));
  return { l1, terms: { [perceptual.name]: distance, ...terms }, total: add(weighted, mul(distance, lpipsWeight)) };
}

/** Phases 1 and 2. The graph's input is `x`. */
export function reconstructionObjective(options: ReconstructionLossOptions): TrainingObjective {
  return (scope) => {
    const x = input("x", options.images);
    const { l1, terms, total } = reconstructionLoss(scope, x, options.reconstruct(scope, x), options);
    return { loss: total, metrics: { l1, ...terms } };
  };
}

/** Mean of |x - y| over batch, channels and pixels, a scalar. */
export function l1Loss(x: Value, y: Value): Value {
  return reduceMean(abs(sub(x, y)));
}
