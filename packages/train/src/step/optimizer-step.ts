/** The second half of an update: from gradients to new weights, moments and averages. */
import { dtypeKind, type Value } from "@dcae/core/graph";
import { type AdamWOptions, adamW, type EmaOptions, emaUpdates } from "../optimizer/index.js";
import type { GradientStep } from "./gradient-step.js";

export interface OptimizerOptions {
  /** Names the optimizer's state, as in "autoencoder". */
  readonly name: string;
  readonly adamW: AdamWOptions;
  /** Averages to keep, each with its own decay (default none). */
  readonly averages?: readonly EmaOptions[];
}

export interface StateUpdate {
  readonly updates: ReadonlyMap<string, Value>;
  readonly metrics: Readonly<Record<string, Value>>;
}

/**
 * One update. Averages are taken of weights and of changed floating-point buffers.
 *
 * @param counter the optimizer's `updateCounter`, where the graph reads that elsewhere too
 */
export function optimizerStep(step: GradientStep, options: OptimizerOptions, counter?: Value): StateUpdate {
  const { updates, learningRate, gradientNorm, count } = adamW(
    options.name,
    step.weights,
    step.gradients,
    options.adamW,
    counter,
  );
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
