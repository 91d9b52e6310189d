/**
 * Values to values: a forward pass in the forms whose derivatives, too, are fast on a CPU.
 *
 * It happens before differentiation, because autodiff then gives the fast backward pass by itself: the adjoint of Winograd's
 * form is Winograd's form of the input gradient (the transposed transforms around one batched product), its weight gradient is
 * a batched product of the same transformed values, and the adjoint of a cheap shuffle is a cheap shuffle. Nothing is
 * transformed twice. Composites keep their names, by which autodiff knows their gradients.
 *
 * The rewrites are those of inference on a CPU (graph/rewrite in core) that don't rely on weights staying what they are.
 */
import {
  type ChooseWinograd,
  chooseWinograd,
  cpuComposites,
  createProgram,
  fastShuffles,
  inliner,
  mapGraph,
  type Program,
  toWinograd,
  type Value,
} from "@dcae/core/graph";
import type { GradientForms } from "../autodiff/gradient-rule.js";
import type { TrainingRule } from "./training-rule.js";
import { chooseTrainingWinograd } from "./winograd-training-cost.js";

/** Which convolutions of a training step take faster forms. */
export interface OptimizeForwardOptions {
  /** Which parameters change between runs (default: all). The others cost nothing to transform. */
  readonly trains?: TrainingRule | undefined;
  /** Which convolutions take Winograd's form (default: the measured rules, by whether the weight trains). */
  readonly chooseWinograd?: ChooseWinograd | undefined;
}

/** Whether, and how, a step takes these forms. */
export type ForwardOptimization = boolean | Omit<OptimizeForwardOptions, "trains">;

/** `optimizeForward` where the option asks for it, and otherwise `values` in ops alone. */
export function forwardForm(
  values: readonly Value[],
  trains: TrainingRule,
  optimize: ForwardOptimization = false,
): readonly Value[] {
  if (optimize === false) return mapGraph(values, inliner());
  return optimizeForward(values, { trains, ...(optimize === true ? {} : optimize) });
}

const CPU_FORMS: GradientForms = { depthwise: "convolution", input: "convolutions", compositions: "whole" };

/** The forms of gradients that go with `forwardForm`. */
export function gradientForms(optimize: ForwardOptimization = false): { readonly forms?: GradientForms } {
  return optimize === false ? {} : { forms: CPU_FORMS };
}

/** The rule of inference for weights that stay what they are, that of training for those that change. */
function measuredRule(trains: TrainingRule): ChooseWinograd {
  return (size, weight) => {
    const frozen = weight.op === "parameter" && !trains(weight.attributes.name);
    return frozen ? chooseWinograd(size) : chooseTrainingWinograd(size);
  };
}

/**
 * The same functions of the same inputs and parameters, up to rounding (1e-5 of the largest value for a convolution).
 *
 * @param values everything that is used further of one forward pass, together: what they share stays shared
 */
export function optimizeForward(values: readonly Value[], options: OptimizeForwardOptions = {}): Value[] {
  const choose = options.chooseWinograd ?? measuredRule(options.trains ?? (() => true));
  const passes: readonly ((program: Program) => Program)[] = [
    cpuComposites,
    (program) => toWinograd(program, choose),
    fastShuffles,
  ];
  const program = createProgram("forward", Object.fromEntries(values.map((value, i) => [`value ${i}`, value])));
  const { outputs } = passes.reduce((current, pass) => pass(current), program);
  return values.map((_, i) => outputs.get(`value ${i}`) as Value);
}
