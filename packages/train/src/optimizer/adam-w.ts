/**
 * AdamW with decoupled decay (Loshchilov and Hutter 2019), as a graph (training.md section 6).
 *
 * Per update number t = 1, 2, ...: p <- p - lr wd p, then p <- p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).
 * Moments are state named `adamw.<optimizer>.{m,v}.<p>`. Clipping only changes two scalar factors: no clipped gradient is ever
 * stored.
 */
import { add, div, mul, neg, reshape, scalar, sqrt, sub, tanh, type Value } from "@dcae/core/graph";
import { z } from "zod";
import { flat, optimizerRow, stateLike } from "./optimizer-row.js";

const beta = z.number().min(0).lt(1);

export const adamW = optimizerRow({
  settings: {
    betas: z.tuple([beta, beta]).default([0.9, 0.999]),
    /** Added after the bias-corrected root. */
    eps: z.number().positive().default(1e-8),
  },
  move({ prefix, weights, gradients, clip, learningRate, count, decayed }, { betas, eps }) {
    const factor = (value: number): Value => (clip === undefined ? scalar(value) : mul(clip, value));
    const [first, second] = [factor(1 - betas[0]), factor(Math.sqrt(1 - betas[1]))];
    // m / b1' / (sqrt(v / b2') + eps) = m sqrt(b2') / b1' / (sqrt(v) + eps sqrt(b2')): the corrections are two scalars.
    const root = sqrt(biasCorrection(betas[1], count));
    const stepSize = mul(div(learningRate, biasCorrection(betas[0], count)), root);
    const offset = mul(root, eps);

    const updates = new Map<string, Value>();
    weights.forEach((weight, i) => {
      const { name } = weight;
      const gradient = flat(gradients[i] as Value);
      const m = add(mul(flat(stateLike(`${prefix}.m`, weight)), betas[0]), mul(gradient, first));
      const scaled = mul(gradient, second);
      const v = add(mul(flat(stateLike(`${prefix}.v`, weight)), betas[1]), mul(scaled, scaled));
      const moved = sub(decayed(weight), mul(stepSize, div(m, add(sqrt(v), offset))));
      const shaped = (value: Value) => reshape(value, weight.value.shape);
      updates.set(`${prefix}.m.${name}`, shaped(m));
      updates.set(`${prefix}.v.${name}`, shaped(v));
      updates.set(name, shaped(moved));
    });
    return updates;
  },
});

/** 1 - beta^t without cancellation. */
function biasCorrection(beta: number, count: Value): Value {
  return beta === 0 ? scalar(1) : neg(expm1(mul(count, Math.log(beta))));
}

/** exp(x) - 1 without cancellation near 0, for x <= 0: 2 t / (1 - t) with t = tanh(x / 2). */
function expm1(x: Value): Value {
  const t = tanh(mul(x, 0.5));
  return div(mul(t, 2), sub(1, t));
}
