/**
 * All rewrites for inference on a CPU. Each gives the same function of the inputs up to rounding.
 *
 * `foldAffine` comes before convolutions take another form, so that they take their batch norm along. `inferenceWinograd` also
 * takes in an upsampling in front of a convolution; what it leaves, `splitUpsampling` turns into convolutions of the small
 * picture, with a shuffle that `fastShuffles` finds.
 *
 * Programs that update state are left alone: their weights change with every run, so that transforming them once is wrong.
 */
import type { Program } from "../program.js";
import { cpuComposites } from "./cpu-composites.js";
import { fastShuffles } from "./fast-shuffles.js";
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
    cpuComposites,
    (current) => inferenceWinograd(current, choose),
    splitUpsampling,
    fastShuffles,
  ];
  return passes.reduce((current, pass) => pass(current), program);
}
