/** Public names of the samplers. */
export { type DdimOptions, type DdpmOptions, ddim, ddpm } from "./ddpm.js";
export { type Dopri5Options, dopri5 } from "./dopri5.js";
export { type DpmSolverOptions, dpmSolver } from "./dpm-solver.js";
export { euler, type FixedStepOptions, heun, midpoint, rk4 } from "./fixed-step-ode.js";
export { type Flow, type FlowOptions, flow } from "./flow.js";
export { type GaussianModelRule, type GaussianPrediction, gaussianPrediction } from "./gaussian-step.js";
export { type ForwardPass, type GuidanceOptions, guidedModel, guideHalves } from "./guidance.js";
export { type Model, noiseFrom, type Sampler, type SamplerRun, type SamplerStep } from "./sampler.js";
export { DIFFUSION_FORMS, type DiffusionForm, diffusionCoefficient, type SdeOptions, sde } from "./sde.js";
export { dpmSolverSinglestep, type SigmaSamplerOptions, sanaSampler, uniPc } from "./sigma-samplers.js";
export type { TimeSpacing } from "./time-grid.js";
export { type UniModelOptions, type UniSamplerOptions, type UniSdeOptions, uniSampler, uniSde } from "./uni-sampler.js";
