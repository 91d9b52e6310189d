/**
 * How a denoiser was trained and is sampled, as its official configuration says it (diffusion.md sections 3, 8 and 9).
 */

/** Training objectives by their official names. */
export const TRAIN_SCHEDULERS = [
  "DPM_Solver",
  "GaussianDiffusion",
  "SiTSampler",
  "SanaScheduler",
  "UniTrainScheduler",
] as const;
export type TrainScheduler = (typeof TRAIN_SCHEDULERS)[number];

/** Samplers by their official names. */
export const EVAL_SCHEDULERS = [
  "DPM_Solver",
  "GaussianDiffusion",
  "ODE_dopri5",
  "ODE_euler",
  "ODE_heun2",
  "ODE_midpoint",
  "ODE_rk4",
  "SDE",
  "UniPC",
  "DPMSolverSinglestep",
  "SanaScheduler",
  "UniSampler",
] as const;
export type EvalScheduler = (typeof EVAL_SCHEDULERS)[number];

export interface Recipe {
  readonly trainScheduler: TrainScheduler;
  readonly evalScheduler: EvalScheduler;
  /** Model evaluations or output points, as the sampler counts. Gaussian diffusion always takes 250. */
  readonly numInferenceSteps: number;
  /** How many of the first output channels are guided; null: all latent channels. */
  readonly cfgChannels: number | null;
  /** Model times in which guidance acts; null: always. */
  readonly guidanceInterval: readonly [low: number, high: number] | null;
}
