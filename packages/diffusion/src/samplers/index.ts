/** Public names of the samplers. */
export {
  type DdimOptions,
  type DdpmOptions,
  ddim,
  ddpm,
  type GaussianModelRule,
  type GaussianPrediction,
  gaussianPrediction,
} from "./ddpm.js";
export { type Dopri5Options, dopri5 } from "./dopri5.js";
export { type DpmSolverOptions, dpmSolver, type TimeSpacing } from "./dpm-solver.js";
export {
  DIFFUSION_FORMS,
  type DiffusionForm,
  diffusionCoefficient,
  euler,
  type FixedStepOptions,
  type Flow,
  type FlowOptions,
  flow,
  heun,
  midpoint,
  rk4,
  type SdeOptions,
  sde,
} from "./flow.js";
export { type ForwardPass, type GuidanceOptions, guidedModel, guideHalves } from "./guidance.js";
export { type Model, noiseFrom, type Sampler, type SamplerRun, type SamplerStep } from "./sampler.js";
export { dpmSolverSinglestep, type SigmaSamplerOptions, sanaSampler, uniPc } from "./sigma-samplers.js";
export { type UniModelOptions, type UniSamplerOptions, type UniSdeOptions, uniSampler, uniSde } from "./uni-sampler.js";
