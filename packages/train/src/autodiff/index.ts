/** Public names of the autodiff. */

export type { GradientForms, GradientRule, InputGradient } from "./gradient-rule.js";
export { backpropagate, type GradientOptions, gradients, NON_DIFFERENTIABLE, type Seed } from "./gradients.js";
export { chooseCheckpoints, cutPoints, recomputation } from "./recomputation.js";
