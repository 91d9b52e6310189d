/** UViT's objective: predict the noise of a discrete schedule (official "DPM_Solver"; diffusion.md 8.1). */
import { type NoisePredictionSchedule, noisePredictionSchedule } from "../schedules/noise-prediction-schedule.js";
import { type Objective, uniformSteps } from "./objective.js";
import { regressionObjective } from "./regression.js";

/** Times are steps 1..N, which the model is fed as they are. */
export function noisePrediction(schedule: NoisePredictionSchedule = noisePredictionSchedule()): Objective {
  return regressionObjective({
    name: "noise prediction",
    sampleTimes: (random, batch) => uniformSteps(random, batch, 1, schedule.steps),
    at: (n) => ({
      time: n,
      signal: Math.sqrt(schedule.cumAlphas[n] as number),
      noiseScale: Math.sqrt(schedule.cumBetas[n] as number),
      targetNoise: 1,
    }),
  });
}
