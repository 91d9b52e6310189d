/** Adversarial losses on logits (training.md section 4). Means are over all logits. */
import { add, cast, less, mul, neg, reduceMean, relu, softplus, sub, type Value } from "@dcae/core/graph";

export type DiscriminatorLoss = "hinge" | "vanilla";

const terms: Readonly<Record<DiscriminatorLoss, readonly [real: (r: Value) => Value, fake: (f: Value) => Value]>> = {
  hinge: [(real) => relu(sub(1, real)), (fake) => relu(add(fake, 1))],
  vanilla: [(real) => softplus(neg(real)), softplus],
};

/** What the discriminator minimizes, a scalar. Real and fake logits come from two passes. */
export function discriminatorLoss(kind: DiscriminatorLoss, real: Value, fake: Value): Value {
  const [ofReal, ofFake] = terms[kind];
  return mul(add(reduceMean(ofReal(real)), reduceMean(ofFake(fake))), 0.5);
}

/** What the generator minimizes: -mean of the logits of its pictures, a scalar. */
export function generatorLoss(fake: Value): Value {
  return neg(reduceMean(fake));
}

/** `factor` (`disc_factor`) from update `start` on (counted from 0), 0 before it; a scalar. `step` is a float32 scalar. */
export function ganGate(step: Value, start: number, factor = 1): Value {
  const open = sub(1, cast(less(step, start), "float32"));
  return factor === 1 ? open : mul(open, factor);
}
