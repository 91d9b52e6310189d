/**
 * Exponential moving averages of the weights (training.md section 6), and models in the middle of training, with the averages in the
 * place of the weights: for evaluation, samples, checkpoints.
 *
 * shadow <- shadow + (1 - d_t) (value - shadow) with d_t = d (1 - exp(-t / warmup)), t counted from 1. Written as
 * 1 - d_t = (1 - d) + d exp(-t / warmup), which keeps the digits of a decay close to 1.
 *
 * Averages exist only of tensors that change: the average of a frozen one is itself.
 */

import type { WeightEntry, Weights } from "@dcae/core/checkpoint";
import {
  add,
  ConfigError,
  exp,
  mul,
  type Program,
  reshape,
  type Scope,
  scalar,
  sub,
  type Value,
} from "@dcae/core/graph";
import type { EngineState } from "@dcae/core/runtime";
import { flat, type NamedValue, stateLike } from "../optimizer/optimizer-row.js";

/** An average of the weights that is kept beside them. */
export interface EmaOptions {
  /** In (0, 1), as 0.9999. */
  readonly decay: number;
  /** Updates over which the decay grows; 0 for none. */
  readonly warmupSteps: number;
}

/** Where the averages of one decay are kept: `ema.<decay>`. */
function emaPrefix({ decay }: EmaOptions): string {
  return `ema.${decay}`;
}

/**
 * New averages, by name in the state.
 *
 * @param values the tensors after the update
 * @param count number of the update, from 1, float32 scalar
 */
export function emaUpdates(values: readonly NamedValue[], count: Value, options: EmaOptions): Map<string, Value> {
  const { decay, warmupSteps } = options;
  if (!(decay > 0 && decay < 1)) throw new ConfigError(`ema: decay must be in (0, 1), got ${decay}`);
  const share = warmupSteps === 0 ? scalar(1 - decay) : add(mul(exp(mul(count, -1 / warmupSteps)), decay), 1 - decay);
  const prefix = emaPrefix(options);
  return new Map(
    values.map((named) => {
      const shadow = flat(stateLike(prefix, named));
      const moved = add(shadow, mul(sub(flat(named.value), shadow), share));
      return [`${prefix}.${named.name}`, reshape(moved, named.value.shape)];
    }),
  );
}

/**
 * Weights by name: what trains from the state, the rest from what the run was started with.
 *
 * @param names official names
 * @param ema takes averages where there are some, instead of the weights themselves
 */
export function stateWeights(
  names: Iterable<string>,
  state: EngineState,
  weights: Weights,
  ema: EmaOptions | null = null,
): Weights {
  const entries = [...names].map((name): [string, WeightEntry] => {
    const average = ema === null ? name : `${emaPrefix(ema)}.${name}`;
    const held = state.specs.has(average) ? average : name;
    const spec = state.specs.get(held);
    if (spec === undefined) return [name, weights.entries.get(name) as WeightEntry];
    return [name, { name, ...spec, read: () => state.read(held) }];
  });
  return { source: "the model in training", entries: new Map(entries), close: async () => {} };
}

/** A scope whose names are those of the averages, so that a program reads them where they lie. */
export function averagedScope(scope: Scope, ema: EmaOptions | null): Scope {
  return ema === null ? scope : scope.at(emaPrefix(ema));
}

/** Tensors that have no average (what doesn't train, and counters) under the names of averages as well. */
export function withAverageNames(program: Program, weights: Weights, ema: EmaOptions | null): Weights {
  if (ema === null) return weights;
  const prefix = `${emaPrefix(ema)}.`;
  const entries = new Map(weights.entries);
  for (const name of program.parameters.keys()) {
    if (!name.startsWith(prefix) || entries.has(name)) continue;
    const plain = weights.entries.get(name.slice(prefix.length)) as WeightEntry;
    entries.set(name, { ...plain, name });
  }
  return { ...weights, entries };
}
