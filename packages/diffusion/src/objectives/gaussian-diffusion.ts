/**
 * DiT's objective (official "GaussianDiffusion"; Nichol and Dhariwal, 2021; diffusion.md 8.2): noise prediction, plus the
 * variational bound for the learned variance.
 *
 * The bound sees the predicted noise as a constant, so that it trains the variance only. Its terms are in bits per element.
 */
import {
  add,
  div,
  exp,
  greater,
  less,
  log,
  maximum,
  mul,
  reduceMean,
  sigmoid,
  slice,
  square,
  sub,
  type Value,
  where,
} from "@dcae/core/graph";
import { fixedLogVariance, type GaussianSchedule, gaussianSchedule } from "../schedules/gaussian-schedule.js";
import { elementMean, type Objective, perSampleFactor, uniformSteps } from "./objective.js";

export interface GaussianDiffusionOptions {
  readonly schedule?: GaussianSchedule;
  /** What the first half of the output is (default the noise). */
  readonly predict?: "noise" | "data";
  /** "learned" needs a model with twice the channels (default). */
  readonly variance?: "learned" | "fixed-large" | "fixed-small";
  /**
   * "mse": squared error, plus the bound where the variance is learned (published). "rescaled-mse": the bound times N/1000.
   * "rescaled-kl": N times the bound alone.
   */
  readonly loss?: "mse" | "rescaled-mse" | "rescaled-kl";
}

type InputName =
  | "time"
  | "signal"
  | "noiseScale"
  | "recip"
  | "recipm1"
  | "meanCoef1"
  | "meanCoef2"
  | "logBeta"
  | "posteriorLogVariance"
  | "fixedLogVariance"
  | "first";
type Inputs = Readonly<Record<InputName, Value>>;

/** The numbers per sample that a mode needs; a program has no input that it doesn't use. */
function inputNames(bounded: boolean, learned: boolean, target: "noise" | "data"): readonly InputName[] {
  const shared = ["time", "signal", "noiseScale"] as const;
  if (!bounded) return shared;
  return [
    ...shared,
    ...(target === "noise" ? (["recip", "recipm1"] as const) : []),
    "meanCoef1",
    "meanCoef2",
    ...(learned ? (["logBeta"] as const) : (["fixedLogVariance"] as const)),
    "posteriorLogVariance",
    "first",
  ];
}

const LN2 = Math.LN2;

/** Times are steps 0..N-1 of the schedule; the model is fed the original step. */
export function gaussianDiffusion(options: GaussianDiffusionOptions = {}): Objective {
  const { schedule = gaussianSchedule(), predict: target = "noise", variance = "learned", loss = "mse" } = options;
  const fixed = fixedLogVariance(schedule, variance === "fixed-small" ? "fixed-small" : "fixed-large");
  const tables: Readonly<Record<InputName, (i: number) => number | undefined>> = {
    time: (i) => schedule.timestepMap[i],
    signal: (i) => schedule.sqrtAlphasCumprod[i],
    noiseScale: (i) => schedule.sqrtOneMinusAlphasCumprod[i],
    recip: (i) => schedule.sqrtRecipAlphasCumprod[i],
    recipm1: (i) => schedule.sqrtRecipm1AlphasCumprod[i],
    meanCoef1: (i) => schedule.posteriorMeanCoef1[i],
    meanCoef2: (i) => schedule.posteriorMeanCoef2[i],
    logBeta: (i) => Math.log(schedule.betas[i] as number),
    posteriorLogVariance: (i) => schedule.posteriorLogVariance[i],
    fixedLogVariance: (i) => fixed[i],
    first: (i) => (i === 0 ? 1 : 0),
  };
  const learned = variance === "learned";
  const bounded = learned || loss === "rescaled-kl";
  const inputs = inputNames(bounded, learned, target);
  return {
    name: "Gaussian diffusion",
    inputs,
    sampleTimes: (random, batch) => uniformSteps(random, batch, 0, schedule.steps - 1),
    coefficients: (times) =>
      Object.fromEntries(inputs.map((key) => [key, Float32Array.from(times, (i) => tables[key](i) as number)])),
    loss(predict, latents, noise, perSample, mask) {
      // Every name that this mode reads is given.
      const numbers = perSample as Inputs;
      const at = (key: InputName) => perSampleFactor(numbers[key]);
      const noisy = add(mul(at("signal"), latents), mul(at("noiseScale"), noise));
      const prediction = predict(noisy, numbers.time);
      const channels = latents.shape[1] as number;
      const output = slice(prediction, 1, 0, channels);
      const mse = elementMean(square(sub(target === "data" ? latents : noise, output)), mask);
      if (!bounded) return { loss: reduceMean(mse), terms: { mse }, constants: [], noisy, prediction };
      // A value of its own, so that gradients can be stopped here and still reach `output` in the squared error.
      const frozen = loss === "rescaled-kl" ? output : mul(output, 1);
      const constants = frozen === output ? [] : [frozen];
      const vb = variationalBound(numbers, {
        latents,
        noisy,
        cleaned: target === "data" ? frozen : sub(mul(at("recip"), noisy), mul(at("recipm1"), frozen)),
        logVariance: learned
          ? learnedLogVariance(slice(prediction, 1, channels), at("logBeta"), at("posteriorLogVariance"))
          : at("fixedLogVariance"),
        mask,
      });
      if (loss === "rescaled-kl") {
        const scaled = mul(vb, schedule.steps);
        return { loss: reduceMean(scaled), terms: { vb: scaled }, constants, noisy, prediction };
      }
      const bound = loss === "mse" ? vb : mul(vb, schedule.steps / 1000);
      return { loss: reduceMean(add(mse, bound)), terms: { mse, vb: bound }, constants, noisy, prediction };
    },
  };
}

/** v in [-1, 1] interpolates log variances between the posterior's and beta; it isn't clamped. */
function learnedLogVariance(v: Value, logBeta: Value, posteriorLogVariance: Value): Value {
  const fraction = div(add(v, 1), 2);
  return add(mul(fraction, logBeta), mul(sub(1, fraction), posteriorLogVariance));
}

interface Bound {
  readonly latents: Value;
  readonly noisy: Value;
  /** The prediction of x_0. */
  readonly cleaned: Value;
  /** The model's, broadcastable to the latents. */
  readonly logVariance: Value;
  /** Of the channels that take part. */
  readonly mask: Value | undefined;
}

/** Bits per element [B]: the divergence from the true posterior, at step 0 the negative likelihood of the data. */
function variationalBound(inputs: Inputs, { latents, noisy, cleaned, logVariance, mask }: Bound): Value {
  const at = (key: keyof Inputs) => perSampleFactor(inputs[key]);
  const posteriorMean = (start: Value) => add(mul(at("meanCoef1"), start), mul(at("meanCoef2"), noisy));
  const [trueMean, modelMean] = [posteriorMean(latents), posteriorMean(cleaned)];
  const kl = gaussianDivergence(trueMean, at("posteriorLogVariance"), modelMean, logVariance);
  const likelihood = discretizedLogLikelihood(latents, modelMean, mul(logVariance, 0.5));
  const mean = (value: Value) => div(elementMean(value, mask), LN2);
  // Both are finite everywhere, so a 0/1 factor may choose.
  return add(mul(inputs.first, mul(mean(likelihood), -1)), mul(sub(1, inputs.first), mean(kl)));
}

/** KL(N(mean1, e^lv1) || N(mean2, e^lv2)) per element, in nats. */
function gaussianDivergence(mean1: Value, logVariance1: Value, mean2: Value, logVariance2: Value): Value {
  const spread = add(sub(logVariance2, logVariance1), exp(sub(logVariance1, logVariance2)));
  const distance = mul(square(sub(mean1, mean2)), exp(mul(logVariance2, -1)));
  return mul(sub(add(spread, distance), 1), 0.5);
}

/** The tanh approximation of the normal distribution function; (1 + tanh u) / 2 = sigmoid(2u), which keeps small values exact. */
function approximateCdf(z: Value): Value {
  return sigmoid(mul(add(z, mul(mul(square(z), z), 0.044715)), 2 * Math.sqrt(2 / Math.PI)));
}

/** Log likelihood of x rounded to bins of width 2/255 under a normal, as for pixels; the outermost bins are open. */
function discretizedLogLikelihood(x: Value, mean: Value, logScale: Value): Value {
  const centered = sub(x, mean);
  const inverse = exp(mul(logScale, -1));
  const upper = approximateCdf(mul(inverse, add(centered, 1 / 255)));
  const lower = approximateCdf(mul(inverse, sub(centered, 1 / 255)));
  const safeLog = (value: Value) => log(maximum(value, 1e-12));
  const inner = where(greater(x, 0.999), safeLog(sub(1, lower)), safeLog(sub(upper, lower)));
  return where(less(x, -0.999), safeLog(upper), inner);
}
