/**
 * A training step as a graph: forward, backward, clip, step, average (training.md section 6).
 *
 * An objective is a graph function of a scope: it makes its own inputs and gives a loss with whatever else is worth reporting.
 * `gradientStep` goes forward and backward, `optimizerStep` clips, steps and averages. The two halves are one program, or, with
 * accumulation over k chunks, two: `accumulate` runs k times, each adding 1/k of its gradients to buffers in the state (and its
 * chunk's batch statistics to the running ones), then `apply` runs once.
 *
 * Where ranks share a batch, gradients and metrics are means over them (`sumOverRanks`), once per update: with accumulation of what
 * the chunks left. Everything behind (clipping, the step, averages) is the same on all ranks.
 */
import {
  add,
  ConfigError,
  cast,
  createProgram,
  createScope,
  dtypeKind,
  expand,
  meanOverRanks,
  mul,
  type Program,
  type Scope,
  scalar,
  type Value,
} from "@dcae/core/graph";
import { gradients } from "../autodiff/gradients.js";
import { recomputation } from "../autodiff/recomputation.js";
import { type NamedValue, stateLike, stateParameter } from "../optimizer/optimizer-row.js";
import type { MethodOptions, ParameterGroup } from "../optimizer/optimizers.js";
import { type EmaOptions, emaUpdates } from "./averages.js";
import { moveWeights } from "./move-weights.js";
import { type ForwardOptimization, forwardForm, gradientForms } from "./optimize-forward.js";
import { type TrainingRule, trainedWeights, trainingScope } from "./training-rule.js";

/** A loss as values of a graph, with what is reported beside it. */
export interface ObjectiveValue {
  /** What is minimized, a scalar. */
  readonly loss: Value;
  /** Scalars to report, by name. */
  readonly metrics: Readonly<Record<string, Value>>;
  /** Values that count as constants: no gradient flows through them. */
  readonly constants?: readonly Value[];
}

/** Builds the loss from parameters of a scope: what a training step differentiates. */
export type TrainingObjective = (scope: Scope) => ObjectiveValue;

/** Options of `gradientStep`. */
export interface GradientStepOptions {
  /** Keep few activations and compute the others again: less memory, about a third more time (default false). */
  readonly recompute?: boolean;
  /**
   * Take the forms that are faster on a CPU (optimize-forward.ts): half the time, more memory, other rounding. Default false, as
   * for an engine's programs.
   */
  readonly optimize?: ForwardOptimization;
  /** Ranks that share a batch, each with rows of its own (default 1): what the update does follows from all of them. */
  readonly ranks?: number | undefined;
}

/** What one pass forward and backward gives the optimizer. */
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
  /** Ranks that have gradients of their own, of the loss of their rows; the update takes the mean (default 1). */
  readonly ranks?: number | undefined;
}

/** How weights are updated and which averages of them are kept. */
export type OptimizerOptions = MethodOptions & {
  /** Names the optimizer's state, as in "autoencoder". */
  readonly name: string;
  /** Parameters with a method, rate, decay and clipping of their own; the others are the optimizer's (default none). */
  readonly groups?: readonly ParameterGroup[] | undefined;
  /** Averages to keep, each with its own decay (default none). */
  readonly averages?: readonly EmaOptions[];
};

/** New values of the state, and what is reported beside them. */
export interface StateUpdate {
  readonly updates: ReadonlyMap<string, Value>;
  readonly metrics: Readonly<Record<string, Value>>;
}

/** Forward and backward: the gradients of an objective with respect to what `trains` picks. Everything else is frozen. */
export function gradientStep(
  objective: TrainingObjective,
  trains: TrainingRule,
  { recompute = false, optimize = false, ranks = 1 }: GradientStepOptions = {},
): GradientStep {
  const { root, loss, metrics, constants, buffers } = forward(objective, trains, optimize, ranks);
  const weights = trainedWeights(root, trains);
  const backward = gradients(
    loss,
    weights.map(({ value }) => value),
    { constants, ...gradientForms(optimize), ...(recompute ? { replay: recomputation(loss) } : {}) },
  );
  return { weights, gradients: backward, buffers, metrics: meansOverRanks({ loss, ...metrics }, ranks), ranks };
}

/** Means over the rows of a batch that `ranks` share, as those of the whole batch. */
export function meansOverRanks(metrics: Readonly<Record<string, Value>>, ranks: number): Record<string, Value> {
  return Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, meanOverRanks(value, ranks)]));
}

/**
 * Clip, step, average: one update. Averages are taken of weights and of changed floating-point buffers.
 *
 * @throws ConfigError for settings out of range, and unless there is a gradient for each weight
 */
export function optimizerStep(local: GradientStep, options: OptimizerOptions): StateUpdate {
  const { averages = [] } = options;
  const { ranks = 1 } = local;
  const step = { ...local, gradients: local.gradients.map((gradient) => meanOverRanks(gradient, ranks)) };
  const counter = step.counter ?? optimizerCounter(options);
  const next = add(counter, 1);
  const count = cast(next, "float32");
  const { updates: moved, metrics } = moveWeights(step, options, { counter: cast(counter, "float32"), count });
  const averaged = averages.flatMap((average) => [...emaUpdates(changedFloats(step, moved), count, average)]);
  return {
    updates: new Map([[counterName(options), next], ...moved, ...step.buffers, ...averaged]),
    metrics: { ...step.metrics, ...metrics },
  };
}

/** One run per update: metrics out, weights and moments updated. */
export function stepProgram(step: GradientStep, options: OptimizerOptions): Program {
  return stateProgram(`${options.name} step`, optimizerStep(step, options));
}

/** A program that makes an update and gives its metrics. */
export function stateProgram(name: string, { metrics, updates }: StateUpdate): Program {
  return createProgram(name, metrics, Object.fromEntries(updates));
}

/** An update in chunks: one program for each chunk, one at the end. */
export interface AccumulationPrograms {
  /** One chunk: its metrics come back; weights stay. */
  readonly accumulate: Program;
  /** The update from the k chunks before it; clears the buffers. */
  readonly apply: Program;
}

/**
 * @param chunks k; metrics of chunks are averaged by the caller
 * @throws ConfigError when `chunks` isn't a positive integer
 */
/**
 * The programs of an update whose batch goes through in chunks.
 *
 * @throws ConfigError when `chunks` isn't a positive integer
 */
export function accumulationPrograms(
  step: GradientStep,
  options: OptimizerOptions,
  chunks: number,
): AccumulationPrograms {
  if (!(Number.isInteger(chunks) && chunks >= 1)) {
    throw new ConfigError(`accumulation: chunks must be a positive integer, got ${chunks}`);
  }
  const prefix = `accumulated.${options.name}`;
  const buffers = step.weights.map((weight) => stateLike(prefix, weight));
  const sums = step.weights.map(
    ({ name }, i) =>
      [`${prefix}.${name}`, add(buffers[i] as Value, mul(step.gradients[i] as Value, 1 / chunks))] as const,
  );
  const cleared = step.weights.map(({ name, value }) => [`${prefix}.${name}`, expand(scalar(0), value.shape)] as const);
  // Averages of running statistics are taken of what the chunks left in the state.
  const left = [...step.buffers.keys()].flatMap((name) => {
    const value = parameterNamed(step, name);
    return value === undefined ? [] : [[name, value] as const];
  });
  const gathered: GradientStep = { ...step, gradients: buffers, metrics: {}, buffers: new Map(left) };
  const { metrics, updates } = optimizerStep(gathered, options);
  return {
    accumulate: stateProgram(`${options.name} accumulate`, {
      metrics: step.metrics,
      updates: new Map([...sums, ...step.buffers]),
    }),
    apply: stateProgram(`${options.name} apply`, { metrics, updates: new Map([...updates, ...cleared]) }),
  };
}

/** The objective and the buffers it moves, in the form that `optimize` asks for. */
function forward(objective: TrainingObjective, trains: TrainingRule, optimize: ForwardOptimization, ranks: number) {
  const root = createScope({ ranks });
  const buffers = new Map<string, Value>();
  const { loss, metrics, constants = [] } = objective(trainingScope(root, trains, buffers));
  const parts = [[loss], Object.values(metrics), [...buffers.values()], constants];
  const forms = forwardForm(parts.flat(), trains, optimize);
  let taken = 0;
  const [lossForm, metricForms, bufferForms, constantForms] = parts.map(({ length }) => {
    taken += length;
    return forms.slice(taken - length, taken);
  }) as [[Value], Value[], Value[], Value[]];
  return {
    root,
    loss: lossForm[0],
    metrics: Object.fromEntries(Object.keys(metrics).map((name, i) => [name, metricForms[i] as Value])),
    buffers: new Map([...buffers.keys()].map((name, i) => [name, bufferForms[i] as Value])),
    constants: constantForms,
  };
}

/** The number of updates that an optimizer has made (int32 scalar state). */
export function optimizerCounter(options: Pick<OptimizerOptions, "kind" | "name">): Value {
  return stateParameter(counterName(options), [], "int32");
}

const counterName = ({ kind, name }: Pick<OptimizerOptions, "kind" | "name">) => `${kind}.${name}.step`;

/** Weights and buffers as the update leaves them, without counters. */
function changedFloats({ weights, buffers }: GradientStep, moved: ReadonlyMap<string, Value>): NamedValue[] {
  const changed = new Map([...weights.map(({ name }) => [name, moved.get(name) as Value] as const), ...buffers]);
  return [...changed].flatMap(([name, value]) => (dtypeKind(value.dtype) === "float" ? [{ name, value }] : []));
}

/** The parameter that the update of buffer `name` starts from. */
function parameterNamed(step: GradientStep, name: string): Value | undefined {
  const seen = new Set<Value>();
  const open: Value[] = [step.buffers.get(name) as Value];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (seen.has(value)) continue;
    seen.add(value);
    if (value.op === "parameter" && value.attributes.name === name) return value;
    open.push(...value.inputs);
  }
  return undefined;
}
