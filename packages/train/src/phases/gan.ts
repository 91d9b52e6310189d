/** The parts of adversarial training (training.md section 4): losses on logits (means over all of them), their weight, the discriminator. */

import { norm } from "@dcae/core/blocks";
import {
  add,
  cast,
  clamp,
  conv2d,
  div,
  type Initializer,
  leakyRelu,
  less,
  mul,
  neg,
  reduceMean,
  reduceSum,
  relu,
  type Scope,
  softplus,
  sqrt,
  square,
  sub,
  type Value,
} from "@dcae/core/graph";

/** Losses of the discriminator. */
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

const MAX_WEIGHT = 1e4;

/**
 * The adaptive weight of the adversarial term (Esser et al. 2021): how much larger the reconstruction's gradient at the last layer is
 * than the adversarial one's, weight * clamp(|r| / (|g| + 1e-4), 0, 1e4), a scalar. A constant for the update: callers scale
 * gradients by it and never differentiate it.
 *
 * @param reconstruction gradient of the reconstruction loss with respect to the last convolution's weight
 * @param adversarial gradient of the generator loss with respect to the same
 * @param weight `disc_weight`
 */
export function adaptiveWeight(reconstruction: Value, adversarial: Value, weight: number): Value {
  const length = (gradient: Value) => sqrt(reduceSum(square(gradient)));
  return mul(clamp(div(length(reconstruction), add(length(adversarial), 1e-4)), 0, MAX_WEIGHT), weight);
}

/** Size of the discriminator. */
export interface PatchGanOptions {
  /** Channels of the first layer (`ndf`). Default 64. */
  readonly width?: number;
  /** Layers with stride 2 after the first. Default 3. */
  readonly layers?: number;
}

const KERNEL = 4;
const SLOPE = 0.2;
const WEIGHTS: Initializer = { kind: "normal", std: 0.02 };
const GAINS: Initializer = { kind: "normal", mean: 1, std: 0.02 };

/**
 * The N-layer PatchGAN discriminator of the VQGAN lineage (Isola et al. 2017): logits [N, 1, h, w] of images x [N, 3, H, W];
 * parameters below `scope.main`.
 *
 * Layer n (1 <= n < layers) has width * min(2^n, 8) channels and stride 2, the one after them stride 1, then a convolution to one
 * channel. Its batch norms use the batch's statistics wherever the scope is in training.
 */
export function patchGan(scope: Scope, x: Value, { width = 64, layers = 3 }: PatchGanOptions = {}): Value {
  const main = scope.at("main");
  let position = 0;
  const conv = (input: Value, outChannels: number, stride: number, bias: boolean): Value => {
    const place = main.at(position++);
    const inChannels = input.shape[1] as number;
    const weight = place.parameter("weight", [outChannels, inChannels, KERNEL, KERNEL], { init: WEIGHTS });
    const bound = 1 / Math.sqrt(inChannels * KERNEL * KERNEL);
    return conv2d(input, weight, {
      stride,
      padding: 1,
      bias: bias ? place.parameter("bias", [outChannels], { init: { kind: "uniform", bound } }) : undefined,
    });
  };
  const activate = (input: Value): Value => {
    position++;
    return leakyRelu(input, SLOPE);
  };

  let y = activate(conv(x, width, 2, true));
  for (let n = 1; n <= layers; n++) {
    const channels = width * Math.min(2 ** n, 8);
    const hidden = conv(y, channels, n < layers ? 2 : 1, false);
    const place = main.at(position++);
    // Asked for first, so that the norm finds it with this initialization instead of its own.
    place.parameter("weight", [channels], { init: GAINS });
    y = activate(norm(place, hidden, "bn2d"));
  }
  return conv(y, 1, 1, true);
}
