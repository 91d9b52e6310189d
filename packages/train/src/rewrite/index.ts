/** Public names of the rewrites for training. */
export { type OptimizeForwardOptions, optimizeForward } from "./optimize-forward.js";
export {
  chooseTrainingWinograd,
  type FormCosts,
  type FormName,
  formTerms,
  winogradForm,
} from "./winograd-training-cost.js";
