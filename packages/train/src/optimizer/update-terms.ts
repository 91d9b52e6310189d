/** What optimizers have in common: how often they stepped, the learning rate, clipping by the global norm, decoupled decay. */
import { add, ConfigError, cast, mul, sub, type Value } from "@dcae/core/graph";
import { clipScale, globalNorm } from "./clip.js";
import { learningRate, type Schedule } from "./schedule.js";
import { flat, type NamedValue, stateParameter } from "./state-parameter.js";

/** Parameters whose name contains one of these don't decay (official trainer). */
export const NO_DECAY: readonly string[] = ["norm.weight", "bias"];

export interface CommonOptimizerOptions {
  readonly schedule: Schedule;
  /** Default 0. */
  readonly weightDecay?: number;
  /** Parts of names that exempt from decay. Default `NO_DECAY`. */
  readonly noDecay?: readonly string[] | undefined;
  /** Largest norm over all gradients; null (default) doesn't clip. */
  readonly clipNorm?: number | null;
}

export type OptimizerMethod = "adamw" | "came";

/** The number of updates that optimizer `optimizer` has made (int32 scalar state). */
export function updateCounter(optimizer: string, method: OptimizerMethod = "adamw"): Value {
  return stateParameter(`${method}.${optimizer}.step`, [], "int32");
}

export interface OptimizerStep {
  /** New values of weights and of the optimizer's own state, by name. */
  readonly updates: ReadonlyMap<string, Value>;
  /** Scalars of this update: its learning rate, and the gradient norm before clipping. */
  readonly learningRate: Value;
  readonly gradientNorm: Value;
  /** Number of this update, from 1, float32. */
  readonly count: Value;
}

export interface UpdateTerms extends Omit<OptimizerStep, "updates"> {
  /** In front of the names of the optimizer's state. */
  readonly prefix: string;
  /** The counter after this update. */
  readonly next: Value;
  /** What gradients are multiplied by; undefined where nothing clips. */
  readonly clip: Value | undefined;
  /** A weight as a vector, after its decay. */
  decayed(weight: NamedValue): Value;
}

/** @throws ConfigError unless there is a gradient for each weight */
export function updateTerms(
  method: OptimizerMethod,
  optimizer: string,
  weights: readonly NamedValue[],
  gradients: readonly Value[],
  options: CommonOptimizerOptions,
  step: Value,
): UpdateTerms {
  const { weightDecay = 0, noDecay = NO_DECAY, clipNorm = null } = options;
  if (weights.length !== gradients.length) {
    const name = method === "adamw" ? "adamW" : method;
    throw new ConfigError(`${name}: ${weights.length} weights but ${gradients.length} gradients`);
  }
  const next = add(step, 1);
  const rate = learningRate(options.schedule, cast(step, "float32"));
  const gradientNorm = globalNorm(gradients);
  const kept = sub(1, mul(rate, weightDecay));
  return {
    prefix: `${method}.${optimizer}`,
    next,
    count: cast(next, "float32"),
    learningRate: rate,
    gradientNorm,
    clip: clipNorm === null ? undefined : clipScale(gradientNorm, clipNorm),
    decayed({ name, value }) {
      const decays = weightDecay !== 0 && !noDecay.some((part) => name.includes(part));
      return decays ? mul(flat(value), kept) : flat(value);
    },
  };
}
