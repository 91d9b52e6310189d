/** Public names of the three phases. */
export { type AdversarialOptions, adversarialGradients, adversarialStep, DISCRIMINATOR_SCOPE } from "./adversarial.js";
export {
  lastLayerName,
  type Phase,
  type PhaseParameterOptions,
  phasePrefixes,
  startsWithAny,
} from "./phase-parameters.js";
export {
  LPIPS_SCOPE,
  type ReconstructionLoss,
  type ReconstructionLossOptions,
  reconstructionLoss,
  reconstructionObjective,
} from "./reconstruction.js";
