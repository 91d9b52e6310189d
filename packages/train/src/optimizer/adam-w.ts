/**
 * AdamW with decoupled decay (Loshchilov and Hutter 2019), as a graph (training.md section 6).
 *
 * Per update number t = 1, 2, ...: p <- p - lr wd p, then p <- p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).
 * Moments and the counter are state named `adamw.<optimizer>.{step,m.<p>,v.<p>}`. Clipping only changes two scalar
 * factors: no clipped gradient is ever stored.
 */
import { add, ConfigError, cast, div, mul, neg, reshape, scalar, sqrt, sub, type Value } from "@dcae/core/graph";
import { clipScale, globalNorm } from "./clip.js";
import { expm1 } from "./expm1.js";
import { learningRate, type Schedule } from "./schedule.js";
import { flat, type NamedValue, stateLike, stateParameter } from "./state-parameter.js";

/** Parameters whose name contains one of these don't decay (official trainer). */
export const NO_DECAY: readonly string[] = ["norm.weight", "bias"];

export interface AdamWOptions {
  readonly schedule: Schedule;
  /** Default (0.9, 0.999). */
  readonly betas?: readonly [number, number];
  /** Added after the bias-corrected root. Default 1e-8. */
  readonly eps?: number;
  /** Default 0. */
  readonly weightDecay?: number;
  /** Parts of names that exempt from decay. Default `NO_DECAY`. */
  readonly noDecay?: readonly string[] | undefined;
  /** Largest norm over all gradients; null (default) doesn't clip. */
  readonly clipNorm?: number | null;
}

/** The number of updates that optimizer `optimizer` has made (int32 scalar state). */
export function updateCounter(optimizer: string, method: "adamw" | "came" = "adamw"): Value {
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

/** 1 - beta^t without cancellation. */
function biasCorrection(beta: number, count: Value): Value {
  return beta === 0 ? scalar(1) : neg(expm1(mul(count, Math.log(beta))));
}

/**
 * One update of `weights` (in the order of the forward pass) along `gradients` (one for each).
 *
 * @param optimizer names the state, as in "autoencoder"
 * @param step its `updateCounter`, where the graph reads that elsewhere too
 */
export function adamW(
  optimizer: string,
  weights: readonly NamedValue[],
  gradients: readonly Value[],
  options: AdamWOptions,
  step: Value = updateCounter(optimizer),
): OptimizerStep {
  const { betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0, noDecay = NO_DECAY, clipNorm = null } = options;
  if (weights.length !== gradients.length) {
    throw new ConfigError(`adamW: ${weights.length} weights but ${gradients.length} gradients`);
  }
  const prefix = `adamw.${optimizer}`;
  const next = add(step, 1);
  const count = cast(next, "float32");
  const rate = learningRate(options.schedule, cast(step, "float32"));
  const gradientNorm = globalNorm(gradients);
  const clip = clipNorm === null ? undefined : clipScale(gradientNorm, clipNorm);
  const factor = (value: number): Value => (clip === undefined ? scalar(value) : mul(clip, value));
  const [first, second] = [factor(1 - betas[0]), factor(Math.sqrt(1 - betas[1]))];
  // m / b1' / (sqrt(v / b2') + eps) = m sqrt(b2') / b1' / (sqrt(v) + eps sqrt(b2')): the corrections are two scalars.
  const root = sqrt(biasCorrection(betas[1], count));
  const stepSize = mul(div(rate, biasCorrection(betas[0], count)), root);
  const offset = mul(root, eps);
  const kept = sub(1, mul(rate, weightDecay));

  const updates = new Map<string, Value>([[`${prefix}.step`, next]]);
  weights.forEach((weight, i) => {
    const { name } = weight;
    const [value, gradient] = [flat(weight.value), flat(gradients[i] as Value)];
    const m = add(mul(flat(stateLike(`${prefix}.m`, weight)), betas[0]), mul(gradient, first));
    const scaled = mul(gradient, second);
    const v = add(mul(flat(stateLike(`${prefix}.v`, weight)), betas[1]), mul(scaled, scaled));
    const decays = weightDecay !== 0 && !noDecay.some((part) => name.includes(part));
    const decayed = decays ? mul(value, kept) : value;
    const moved = sub(decayed, mul(stepSize, div(m, add(sqrt(v), offset))));
    const shaped = (value: Value) => reshape(value, weight.value.shape);
    updates.set(`${prefix}.m.${name}`, shaped(m));
    updates.set(`${prefix}.v.${name}`, shaped(v));
    updates.set(name, shaped(moved));
  });
  return { updates, learningRate: rate, gradientNorm, count };
}
