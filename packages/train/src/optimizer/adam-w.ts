/**
 * AdamW with decoupled decay (Loshchilov and Hutter 2019), as a graph (training.md section 6).
 *
 * Per update number t = 1, 2, ...: p <- p - lr wd p, then p <- p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).
 * Moments and the counter are state named `adamw.<optimizer>.{step,m.<p>,v.<p>}`. Clipping only changes two scalar
 * factors: no clipped gradient is ever stored.
 */
import { add, div, mul, neg, reshape, scalar, sqrt, sub, type Value } from "@dcae/core/graph";
import { expm1 } from "./expm1.js";
import { flat, type NamedValue, stateLike } from "./state-parameter.js";
import { type CommonOptimizerOptions, type OptimizerStep, updateCounter, updateTerms } from "./update-terms.js";

export interface AdamWOptions extends CommonOptimizerOptions {
  /** Default (0.9, 0.999). */
  readonly betas?: readonly [number, number];
  /** Added after the bias-corrected root. Default 1e-8. */
  readonly eps?: number;
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
  const { betas = [0.9, 0.999], eps = 1e-8 } = options;
  const terms = updateTerms("adamw", optimizer, weights, gradients, options, step);
  const { prefix, next, count, learningRate, gradientNorm, clip } = terms;
  const factor = (value: number): Value => (clip === undefined ? scalar(value) : mul(clip, value));
  const [first, second] = [factor(1 - betas[0]), factor(Math.sqrt(1 - betas[1]))];
  // m / b1' / (sqrt(v / b2') + eps) = m sqrt(b2') / b1' / (sqrt(v) + eps sqrt(b2')): the corrections are two scalars.
  const root = sqrt(biasCorrection(betas[1], count));
  const stepSize = mul(div(learningRate, biasCorrection(betas[0], count)), root);
  const offset = mul(root, eps);

  const updates = new Map<string, Value>([[`${prefix}.step`, next]]);
  weights.forEach((weight, i) => {
    const { name } = weight;
    const gradient = flat(gradients[i] as Value);
    const m = add(mul(flat(stateLike(`${prefix}.m`, weight)), betas[0]), mul(gradient, first));
    const scaled = mul(gradient, second);
    const v = add(mul(flat(stateLike(`${prefix}.v`, weight)), betas[1]), mul(scaled, scaled));
    const moved = sub(terms.decayed(weight), mul(stepSize, div(m, add(sqrt(v), offset))));
    const shaped = (value: Value) => reshape(value, weight.value.shape);
    updates.set(`${prefix}.m.${name}`, shaped(m));
    updates.set(`${prefix}.v.${name}`, shaped(v));
    updates.set(name, shaped(moved));
  });
  return { updates, learningRate, gradientNorm, count };
}
