/**
 * Gradients of graph functions, for tests only: the package itself doesn't know the autodiff, which lies above it.
 * The source is imported by path, so that the published package has no dependency on it, not even for development.
 */
import type { Value } from "@dcae/core/graph";
import { type GradientOptions, gradients } from "../../../train/src/autodiff/index.js";
import { gradientForms } from "../../../train/src/step/index.js";

/** d loss / d each parameter of the map, as outputs named `grad.<parameter>`. */
export function parameterGradients(
  loss: Value,
  parameters: ReadonlyMap<string, Value>,
  options: GradientOptions = {},
): Record<string, Value> {
  const names = [...parameters.keys()];
  const results = gradients(loss, [...parameters.values()], options);
  return Object.fromEntries(names.map((name, i) => [`grad.${name}`, results[i] as Value]));
}

/** Everything op by op, and the forms that a training step takes on a CPU. */
export const GRADIENT_FORMS: readonly (readonly [string, GradientOptions])[] = [
  ["op by op", {}],
  ["in the CPU's forms", gradientForms(true)],
];

/** Training steps, for tests only, for the same reason. */
export { completeWeights, createTrainingState, gradientStep, stepProgram } from "../../../train/src/step/index.js";
