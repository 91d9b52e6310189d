/**
 * Gradients and training steps for the tests of packages below train, which don't know it: the sources of train stand here, so that
 * no published package depends on it, not even for development.
 */
import type { Value } from "@dcae/core/graph";
import { gradientForms } from "@dcae/train/internal";
import { type GradientOptions, gradients } from "@dcae/train/step";

export { completeWeights, createTrainingState, gradientStep, stepProgram } from "@dcae/train/step";
export { gradients };

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
