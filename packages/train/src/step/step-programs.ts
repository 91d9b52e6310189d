/**
 * Updates as programs.
 *
 * Plain: one program, one run per update. With accumulation over k chunks: `accumulate` runs k times, each adding 1/k of its
 * gradients to buffers in the state (and its chunk's batch statistics to the running ones), then `apply` runs once.
 */
import { add, ConfigError, createProgram, expand, mul, type Program, scalar, type Value } from "@dcae/core/graph";
import { stateLike } from "../optimizer/state-parameter.js";
import type { GradientStep } from "./gradient-step.js";
import { type OptimizerOptions, optimizerStep } from "./optimizer-step.js";

/** A program from metrics and updates. */
export function stateProgram(
  name: string,
  metrics: Readonly<Record<string, Value>>,
  updates: ReadonlyMap<string, Value>,
): Program {
  return createProgram(name, metrics, Object.fromEntries(updates));
}

/** One run per update: metrics out, weights and moments updated. */
export function stepProgram(step: GradientStep, options: OptimizerOptions): Program {
  const { metrics, updates } = optimizerStep(step, options);
  return stateProgram(`${options.name} step`, metrics, updates);
}

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
    accumulate: stateProgram(`${options.name} accumulate`, step.metrics, new Map([...sums, ...step.buffers])),
    apply: stateProgram(`${options.name} apply`, metrics, new Map([...updates, ...cleared])),
  };
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
