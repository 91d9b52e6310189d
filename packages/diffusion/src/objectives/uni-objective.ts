/**
 * The configurable objective of the newer official code ("UniTrainScheduler"; diffusion.md 8.5): any continuous schedule, any
 * target. Time runs from 0 (data) to 1 (noise).
 */
import { type NoiseScheduleName, noiseSchedule } from "../schedules/noise-schedule.js";
import { type Objective, uniformTimes } from "./objective.js";
import { type RegressionPoint, regressionObjective } from "./regression.js";

export type UniPrediction = "noise" | "data" | "velocity" | "score";
export type TimeInput = "continuous" | "discrete_999" | "discrete_1000";

export interface UniObjectiveOptions {
  readonly schedule?: NoiseScheduleName;
  readonly prediction?: UniPrediction;
  /** What the model is fed: t, or 1000 t - 1 or 1000 t of a t rounded to 1/1000. */
  readonly timeInput?: TimeInput;
  /** Feed 1 - t, and negate the velocity. */
  readonly reverseTime?: boolean;
  /** Range of t (default 1e-5 to 1). */
  readonly timeRange?: readonly [low: number, high: number];
  /** How t is drawn: uniformly, uniformly in log-SNR, or as the sigmoid of a normal. */
  readonly distribution?: "uniform" | "log-snr" | "logit-normal";
}

/** Times are t in the range given. */
export function uniObjective(options: UniObjectiveOptions = {}): Objective {
  const { prediction = "velocity", timeInput = "continuous", reverseTime = false, distribution = "uniform" } = options;
  const { timeRange: [low, high] = [1e-5, 1] } = options;
  const { alpha, sigma, dAlpha, dSigma, lambda, time } = noiseSchedule(options.schedule ?? "linear_flow");
  const direction = reverseTime ? -1 : 1;
  const targets: Readonly<Record<UniPrediction, (t: number) => Partial<RegressionPoint>>> = {
    noise: () => ({ targetNoise: 1 }),
    data: () => ({ targetSignal: 1 }),
    velocity: (t) => ({ targetSignal: direction * dAlpha(t), targetNoise: direction * dSigma(t) }),
    score: (t) => ({ targetNoise: -1 / sigma(t) }),
  };
  return regressionObjective({
    name: `${options.schedule ?? "linear_flow"} (${prediction})`,
    sampleTimes(random, batch) {
      if (distribution === "logit-normal") {
        return Float64Array.from({ length: batch }, () => 1 / (1 + Math.exp(-random.nextNormal())));
      }
      if (distribution === "uniform") return uniformTimes(random, batch, low, high);
      return uniformTimes(random, batch, lambda(high), lambda(low)).map(time);
    },
    at(drawn) {
      const t = timeInput === "continuous" ? drawn : Math.fround(Math.round(1000 * drawn) / 1000);
      return {
        time: modelTime(t, timeInput, reverseTime),
        signal: alpha(t),
        noiseScale: sigma(t),
        ...targets[prediction](t),
      };
    },
  });
}

/** What the model is fed at time t. */
export function modelTime(t: number, timeInput: TimeInput, reverseTime: boolean): number {
  const directed = reverseTime ? 1 - t : t;
  if (timeInput === "continuous") return directed;
  return Math.round(1000 * directed) - (timeInput === "discrete_999" ? 1 : 0);
}
