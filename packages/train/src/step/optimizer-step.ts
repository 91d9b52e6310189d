/** The second half of an update: from gradients to new weights, moments and averages. */
import { dtypeKind, type Value } from "@dcae/core/graph";
import {
  type AdamWOptions,
  adamW,
  type CameOptions,
  came,
  type EmaOptions,
  emaUpdates,
  updateCounter,
} from "../optimizer/index.js";
import type { GradientStep } from "./gradient-step.js";

interface CommonOptions {
  /** Names the optimizer's state, as in "autoencoder". */
  readonly name: string;
  /** Averages to keep, each with its own decay (default none). */
  readonly averages?: readonly EmaOptions[];
}

/** How weights are updated: one of the methods, with its own options. */
export type OptimizerOptions = CommonOptions & ({ readonly adamW: AdamWOptions } | { readonly came: CameOptions });

/** The number of updates that an optimizer has made (int32 scalar state). */
export function optimizerCounter(options: OptimizerOptions): Value {
  return updateCounter(options.name, "came" in options ? "came" : "adamw");
}

export interface StateUpdate {
  readonly updates: ReadonlyMap<string, Value>;
  readonly metrics: Readonly<Record<string, Value>>;
}

/** One update. Averages are taken of weights and of changed floating-point buffers. */
export function optimizerStep(step: GradientStep, options: OptimizerOptions): StateUpdate {
  const { name } = options;
  const { weights, gradients, counter = optimizerCounter(options) } = step;
  const { updates, learningRate, gradientNorm, count } =
    "came" in options
      ? came(name, weights, gradients, options.came, counter)
      : adamW(name, weights, gradients, options.adamW, counter);
  const changed = [...step.weights.map(({ name }) => name), ...step.buffers.keys()].flatMap((name) => {
    const value = (updates.get(name) ?? step.buffers.get(name)) as Value;
    return dtypeKind(value.dtype) === "float" ? [{ name, value }] : [];
  });
  const averages = (options.averages ?? []).flatMap((average) => [...emaUpdates(changed, count, average)]);
  return {
    updates: new Map([...updates, ...step.buffers, ...averages]),
    metrics: { ...step.metrics, learning_rate: learningRate, gradient_norm: gradientNorm },
  };
}
