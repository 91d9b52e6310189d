/** Public names of the schedules. */
export { type BetaSchedule, gaussianBetas, stableDiffusionBetas } from "./betas.js";
export { type GaussianSchedule, type GaussianScheduleOptions, gaussianSchedule } from "./gaussian-schedule.js";
export { INTERPOLANTS, type Interpolant, type InterpolantName, interpolant } from "./interpolant.js";
export { type NoisePredictionSchedule, noisePredictionSchedule } from "./noise-prediction-schedule.js";
export {
  discreteNoiseSchedule,
  NOISE_SCHEDULES,
  type NoiseSchedule,
  type NoiseScheduleName,
  noiseSchedule,
} from "./noise-schedule.js";
export { respacedSteps } from "./respacing.js";
export { type SanaSchedule, sanaSchedule, shiftSigma } from "./sana-schedule.js";
