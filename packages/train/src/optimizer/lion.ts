/**
 * Lion with decoupled decay (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2), as a graph.
 *
 * Per update: p <- p - lr wd p, then p <- p - lr sign(b1 m + (1 - b1) g), then m <- b2 m + (1 - b2) g. Every weight moves by the
 * learning rate, so rates are a third to a tenth of AdamW's, and decays three to ten times as large.
 *
 * Its one moment is state named `lion.<optimizer>.m.<p>`.
 */
import { add, mul, reshape, scalar, sign, sub, type Value } from "@dcae/core/graph";
import { z } from "zod";
import { flat, optimizerRow, stateLike } from "./optimizer-row.js";

const beta = z.number().min(0).lt(1);

export const lion = optimizerRow({
  settings: {
    /** How much of the moment is in the direction of an update, and how much of it is kept. */
    betas: z.tuple([beta, beta]).default([0.9, 0.99]),
  },
  move({ prefix, weights, gradients, clip, learningRate, decayed }, { betas }) {
    // The sum that a direction is the sign of has clipped gradients in it: they are weighed against a moment of such.
    const share = (beta: number): Value => (clip === undefined ? scalar(1 - beta) : mul(clip, 1 - beta));
    const [inDirection, inMoment] = [share(betas[0]), share(betas[1])];
    const updates = new Map<string, Value>();
    weights.forEach((weight, i) => {
      const { name, value } = weight;
      const gradient = flat(gradients[i] as Value);
      const m = flat(stateLike(`${prefix}.m`, weight));
      const direction = sign(add(mul(m, betas[0]), mul(gradient, inDirection)));
      const moment = add(mul(m, betas[1]), mul(gradient, inMoment));
      updates.set(`${prefix}.m.${name}`, reshape(moment, value.shape));
      updates.set(name, reshape(sub(decayed(weight), mul(direction, learningRate)), value.shape));
    });
    return updates;
  },
});
