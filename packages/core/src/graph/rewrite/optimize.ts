/**
 * All rewrites for inference on a CPU, in their order. Each gives the same function of the inputs up to rounding.
 *
 * 1. `foldAffine` first: a convolution takes its batch norm along into whatever form it gets.
 * 2. `simplifyShortcuts` recognizes shortcuts by their shuffles, so before these are rewritten.
 * 3. `inferenceWinograd`, which also takes in an upsampling in front of a convolution. What it leaves,
 * 4. `splitUpsampling` turns into convolutions of the small picture.
 * 5. `fastShuffles` for all shuffles, those of 4 included.
 * 6. `channelMeansAsProducts` for the norms that still have channels first: means along the last axis stay as they are.
 *
 * Programs that update state are left alone: their weights change with every run, so that transforming them once is wrong.
 */
import type { Program } from "../program.js";
import { channelMeansAsProducts } from "./channel-mean.js";
import { fastShuffles, simplifyShortcuts } from "./fast-shuffles.js";
import { foldAffine } from "./fold-affine.js";
import { splitUpsampling } from "./upsample-phases.js";
import type { ChooseWinograd } from "./winograd.js";
import { chooseWinograd } from "./winograd-cost.js";
import { inferenceWinograd } from "./winograd-form.js";

export interface OptimizeOptions {
  /** Which convolutions take Winograd's form (default: the measured cost model of winograd-cost.ts). */
  readonly chooseWinograd?: ChooseWinograd | undefined;
}

export function optimize(program: Program, options: OptimizeOptions = {}): Program {
  if (program.updates.size > 0) return program;
  const choose = options.chooseWinograd ?? chooseWinograd;
  const passes: readonly ((program: Program) => Program)[] = [
    foldAffine,
    simplifyShortcuts,
    (current) => inferenceWinograd(current, choose),
    splitUpsampling,
    fastShuffles,
    channelMeansAsProducts,
  ];
  return passes.reduce((current, pass) => pass(current), program);
}
