/** New weights and moments from gradients: each optimizer clips, decays and moves what belongs to it. */
import {
  add,
  ConfigError,
  div,
  equal,
  minimum,
  mul,
  reduceSum,
  scalar,
  sqrt,
  sub,
  type Value,
  where,
} from "@dcae/core/graph";
import { z } from "zod";
import { parseConfig } from "../configs/parse-config.js";
import { flat, type NamedValue, type OptimizerRow } from "../optimizer/optimizer-row.js";
import { type CommonOptimizerOptions, OPTIMIZERS, weightDecayOf } from "../optimizer/optimizers.js";
import { type OptimizerPart, optimizerParts } from "../optimizer/parameter-groups.js";
import { learningRate } from "../optimizer/schedule.js";
import type { OptimizerOptions, StateUpdate } from "./training-step.js";

/** What is updated, and along what. */
export interface WeightGradients {
  readonly weights: readonly NamedValue[];
  /** One per weight. */
  readonly gradients: readonly Value[];
}

/**
 * New weights and moments by the methods' rows; decay is decoupled from the gradients. Metrics: rate and gradient norm before clipping,
 * those of groups with their name behind.
 *
 * @param counter updates made before, int32 scalar; `count` is one more, both float32
 * @throws ConfigError for settings out of range, groups that don't part the weights, and unless there is a gradient for each weight
 */
export function moveWeights(
  { weights, gradients }: WeightGradients,
  options: OptimizerOptions,
  { counter, count }: { readonly counter: Value; readonly count: Value },
): StateUpdate {
  const { averages, ...optimizer } = options;
  if (weights.length !== gradients.length) {
    throw new ConfigError(`${options.kind}: ${weights.length} weights but ${gradients.length} gradients`);
  }
  const parts = optimizerParts(
    optimizer,
    weights.map(({ name }) => name),
  );
  const updates = new Map<string, Value>();
  const metrics: Record<string, Value> = {};
  const owned = parts.map((part) => {
    const own = [...weights.entries()].filter(([, { name }]) => part.names.has(name));
    const ownGradients = own.map(([i]) => gradients[i] as Value);
    return { part, own, ownGradients, norm: globalNorm(ownGradients) };
  });
  const allNorms = owned.map(({ norm }) => norm).reduce(add, scalar(0));
  for (const { part, own, ownGradients, norm } of owned) {
    const rate = learningRate(part.options.schedule, counter);
    metrics[`learning_rate${part.suffix}`] = rate;
    metrics[`gradient_norm${part.suffix}`] = norm;
    const moved = movePart(
      part,
      { weights: own.map(([, weight]) => weight), gradients: ownGradients },
      behind(rate, allNorms),
      norm,
      count,
    );
    for (const [name, value] of moved) updates.set(name, value);
  }
  return { updates, metrics };
}

function movePart(
  { options, prefix }: OptimizerPart,
  step: WeightGradients,
  rate: Value,
  norm: Value,
  count: Value,
): Map<string, Value> {
  const { kind, schedule, clipNorm = null, weightDecay, noDecay, ...own } = options;
  // The settings that are left are those of the row's schema.
  const row = OPTIMIZERS[kind] as unknown as OptimizerRow<z.ZodRawShape>;
  const name = prefix.slice(kind.length + 1);
  const settings = parseConfig(z.strictObject(row.settings), own, `optimizer "${name}"`);
  const clip = clipNorm === null ? undefined : clipScale(norm, clipNorm);
  return row.move({ prefix, ...step, clip, learningRate: rate, count, decayed: decayOf(options, rate) }, settings);
}

/** A weight after its decay, by its name. */
function decayOf(options: CommonOptimizerOptions, rate: Value): (weight: NamedValue) => Value {
  const kept = sub(1, mul(rate, options.weightDecay ?? 0));
  return ({ name, value }) => (weightDecayOf(options, name) === 0 ? flat(value) : mul(flat(value), kept));
}

/**
 * `value`, computed behind `other`. Weights that move by a rate that is only known when all gradients are aren't read any more when they
 * move, so that they may be overwritten (in-place-updates.ts of core).
 */
function behind(value: Value, other: Value): Value {
  return where(equal(other, other), value, value);
}

/** sqrt of the sum of squares over all tensors, a scalar. */
function globalNorm(tensors: readonly Value[]): Value {
  const squares = tensors.map((tensor) => reduceSum(mul(tensor, tensor)));
  return squares.length === 0 ? scalar(0) : sqrt(squares.reduce((sum, square) => add(sum, square)));
}

/** min(1, maxNorm / (norm + 1e-6)): what gradients are multiplied by. */
function clipScale(norm: Value, maxNorm: number): Value {
  return minimum(div(scalar(maxNorm), add(norm, 1e-6)), 1);
}
