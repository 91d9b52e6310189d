/**
 * The loss that most objectives share: the model regresses a combination of data and noise.
 *
 * x_t = signal * x_0 + noiseScale * noise, target = targetSignal * x_0 + targetNoise * noise, and the loss is the mean of
 * weight * (outputScale * output - target)^2. Objectives differ in these numbers only.
 */
import { add, mul, reduceMean, square, sub, type Value } from "@dcae/core/graph";
import { type Objective, type PerSample, perSampleFactor } from "./objective.js";

const REGRESSION_INPUTS = [
  "time",
  "signal",
  "noiseScale",
  "targetSignal",
  "targetNoise",
  "outputScale",
  "weight",
] as const;

/** The numbers of one sample. */
export interface RegressionPoint {
  /** What the model is fed. */
  readonly time: number;
  readonly signal: number;
  readonly noiseScale: number;
  /** Default 0. */
  readonly targetSignal?: number;
  /** Default 0. */
  readonly targetNoise?: number;
  /** Default 1. */
  readonly outputScale?: number;
  /** Default 1. */
  readonly weight?: number;
}

export interface Regression {
  readonly name: string;
  readonly sampleTimes: Objective["sampleTimes"];
  /** The numbers at one time. */
  at(time: number): RegressionPoint;
}

/** An objective from its numbers. */
export function regressionObjective({ name, sampleTimes, at }: Regression): Objective {
  return {
    name,
    inputs: REGRESSION_INPUTS,
    sampleTimes,
    coefficients(times): PerSample {
      const points = Array.from(times, (time) => ({
        targetSignal: 0,
        targetNoise: 0,
        outputScale: 1,
        weight: 1,
        ...at(time),
      }));
      return Object.fromEntries(
        REGRESSION_INPUTS.map((key) => [key, Float32Array.from(points, (point) => point[key])]),
      );
    },
    loss(predict, latents, noise, perSample) {
      const combine = (signal: Value, scale: Value) =>
        add(mul(perSampleFactor(signal), latents), mul(perSampleFactor(scale), noise));
      // Every name of `inputs` is given.
      const { time, signal, noiseScale, targetSignal, targetNoise, outputScale, weight } = perSample as Readonly<
        Record<(typeof REGRESSION_INPUTS)[number], Value>
      >;
      const noisy = combine(signal, noiseScale);
      const prediction = predict(noisy, time);
      const error = sub(mul(perSampleFactor(outputScale), prediction), combine(targetSignal, targetNoise));
      const mse = mul(weight, reduceMean(square(error), [1, 2, 3]));
      return { loss: reduceMean(mse), terms: { mse }, constants: [], noisy, prediction };
    },
  };
}
