/**
 * The N-layer PatchGAN discriminator of the VQGAN lineage (Isola et al. 2017; training.md section 4).
 *
 * Layer n (1 <= n < layers) has width * min(2^n, 8) channels and stride 2, the one after them stride 1, then a convolution to one
 * channel. Its batch norms use the batch's statistics wherever the scope is in training.
 */
import { norm } from "@dcae/core/blocks";
import { conv2d, type Initializer, leakyRelu, type Scope, type Value } from "@dcae/core/graph";

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

/** Logits [N, 1, h, w] of images x [N, 3, H, W]; parameters below `scope.main`. */
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
