/** Public names of the schedules. */

export {
  INTERPOLANTS,
  type Interpolant,
  type InterpolantName,
  interpolant,
  type SanaSchedule,
  sanaSchedule,
  shiftSigma,
} from "./flow-schedule.js";
export {
  type BetaSchedule,
  type GaussianSchedule,
  type GaussianScheduleOptions,
  gaussianBetas,
  gaussianSchedule,
  type NoisePredictionSchedule,
  noisePredictionSchedule,
  respacedSteps,
  stableDiffusionBetas,
} from "./gaussian-schedule.js";
export {
  discreteNoiseSchedule,
  NOISE_SCHEDULES,
  type NoiseSchedule,
  type NoiseScheduleName,
  noiseSchedule,
} from "./noise-schedule.js";
