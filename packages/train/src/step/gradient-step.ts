/**
 * The first half of an update: from a loss to gradients.
 *
 * An objective is a graph function of a scope: it makes its own inputs and gives a loss with whatever else is worth reporting.
 * What trains is a rule on names; everything else is frozen, gets no gradient, and keeps batch norm in inference mode.
 */
import { ConfigError, createScope, inliner, mapGraph, type RootScope, type Scope, type Value } from "@dcae/core/graph";
import { type GradientForms, gradients, recomputation } from "../autodiff/index.js";
import { overlayScope } from "../graph/overlay-scope.js";
import type { NamedValue } from "../optimizer/index.js";
import { type OptimizeForwardOptions, optimizeForward } from "../rewrite/index.js";

export interface ObjectiveValue {
  /** What is minimized, a scalar. */
  readonly loss: Value;
  /** Scalars to report, by name. */
  readonly metrics: Readonly<Record<string, Value>>;
  /** Values that count as constants: no gradient flows through them. */
  readonly constants?: readonly Value[];
}

export type TrainingObjective = (scope: Scope) => ObjectiveValue;

/** Whether the parameter of that name (or what lies below a name that ends in a dot) is trained. */
export type TrainingRule = (name: string) => boolean;

export interface GradientStep {
  /** What is trained, in the order of the forward pass. */
  readonly weights: readonly NamedValue[];
  /** One per weight. */
  readonly gradients: readonly Value[];
  /** Buffers that the forward pass changed (batch-norm statistics), by name. */
  readonly buffers: ReadonlyMap<string, Value>;
  readonly metrics: Readonly<Record<string, Value>>;
  /** The optimizer's counter, where the gradients depend on it: a graph names each parameter once. */
  readonly counter?: Value;
}

/** The scope in which a model runs in training: only trained places are in training mode. */
export function trainingScope(root: Scope, trains: TrainingRule, updates: Map<string, Value>): Scope {
  return overlayScope(root, { training: (path) => trains(`${path}.`), updates });
}

/**
 * The trainable parameters of `root` that the rule picks.
 *
 * @throws ConfigError when there is none
 */
export function trainedWeights(root: RootScope, trains: TrainingRule): NamedValue[] {
  const picked = [...root.parameters.values()].filter(({ name, trainable }) => trainable && trains(name));
  if (picked.length === 0) {
    throw new ConfigError("nothing to train: no trainable parameter matches", {
      hint: `Parameters are named like "${[...root.parameters.keys()].slice(0, 3).join('", "')}".`,
    });
  }
  return picked.map(({ name, shape }) => ({ name, value: root.parameter(name, shape) }));
}

export interface GradientStepOptions {
  /** Keep few activations and compute the others again: less memory, about a third more time (default false). */
  readonly recompute?: boolean;
  /**
   * Take the forms that are faster on a CPU (rewrite/optimize-forward.ts): half the time, more memory, other rounding. Default
   * false, as for an engine's programs.
   */
  readonly optimize?: boolean | Omit<OptimizeForwardOptions, "trains">;
}

/** `optimizeForward` where the option asks for it, and otherwise `values` in ops alone. */
export function forwardForm(
  values: readonly Value[],
  trains: TrainingRule,
  optimize: GradientStepOptions["optimize"],
): readonly Value[] {
  if (optimize === undefined || optimize === false) return mapGraph(values, inliner());
  return optimizeForward(values, { trains, ...(optimize === true ? {} : optimize) });
}

const CPU_FORMS: GradientForms = { depthwise: "convolution", input: "convolutions", compositions: "whole" };

/** The forms of gradients that go with `forwardForm`. */
export function gradientForms(optimize: GradientStepOptions["optimize"]): { readonly forms?: GradientForms } {
  return optimize === undefined || optimize === false ? {} : { forms: CPU_FORMS };
}

/** Gradients of an objective with respect to what `trains` picks. */
export function gradientStep(
  objective: TrainingObjective,
  trains: TrainingRule,
  { recompute = false, optimize = false }: GradientStepOptions = {},
): GradientStep {
  const root = createScope();
  const updates = new Map<string, Value>();
  const plain = objective(trainingScope(root, trains, updates));
  const { loss, metrics, constants, buffers } = optimizeObjective(plain, updates, trains, optimize);
  const weights = trainedWeights(root, trains);
  return {
    weights,
    gradients: gradients(
      loss,
      weights.map(({ value }) => value),
      { constants, ...gradientForms(optimize), ...(recompute ? { replay: recomputation(loss) } : {}) },
    ),
    buffers,
    metrics: { loss, ...metrics },
  };
}

/** The objective and the buffers it moves, in the form that `optimize` asks for. */
function optimizeObjective(
  { loss, metrics, constants = [] }: ObjectiveValue,
  buffers: ReadonlyMap<string, Value>,
  trains: TrainingRule,
  optimize: GradientStepOptions["optimize"],
): Required<ObjectiveValue> & { readonly buffers: ReadonlyMap<string, Value> } {
  const [metricNames, bufferNames] = [Object.keys(metrics), [...buffers.keys()]];
  const [form, ...rest] = forwardForm(
    [loss, ...Object.values(metrics), ...buffers.values(), ...constants],
    trains,
    optimize,
  );
  const take = (count: number) => rest.splice(0, count);
  const [metricForms, bufferForms] = [take(metricNames.length), take(bufferNames.length)];
  return {
    loss: form as Value,
    metrics: Object.fromEntries(metricNames.map((name, i) => [name, metricForms[i] as Value])),
    buffers: new Map(bufferNames.map((name, i) => [name, bufferForms[i] as Value])),
    constants: rest,
  };
}
