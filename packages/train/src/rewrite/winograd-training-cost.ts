/**
 * When Winograd pays in training: a linear model of the time of a 3x3 convolution whose weight trains, forward and with both
 * gradients, in its three forms. bench/measure-convolutions.mjs measures convolutions of 200 sizes, fits the coefficients and
 * prints them in the form of the table below.
 *
 * It pays earlier than at inference, because the transformed input and the transformed gradient each serve two of the three
 * products; and later in weights, which are transformed at every run. Against the fastest form of each size the model's choice
 * loses 3% on average, direct convolutions everywhere 41%.
 */
import type { ConvSize, WinogradTile } from "@dcae/core/graph";

/** Nanoseconds on one core. */
export interface FormCosts {
  /** Per multiply-accumulate, of the convolution or of the products at the points of the tiles. */
  readonly mac: number;
  /** Per value of the input, at the points of the tiles in Winograd's form. */
  readonly input: number;
  /** Per value of the output, likewise. */
  readonly output: number;
  /** Per value of the weight, likewise. */
  readonly weight: number;
  /** Of the nodes of the graph. */
  readonly fixed: number;
}

export type FormName = "direct" | "tiles of 2" | "tiles of 4";

export const FORM_COSTS: Readonly<Record<FormName, FormCosts>> = {
  direct: { mac: 0.0269, input: 3.22, output: 1.94, weight: 4.97, fixed: 74_600 },
  "tiles of 2": { mac: 0.0292, input: 2.37, output: 0.86, weight: 1.69, fixed: 0 },
  "tiles of 4": { mac: 0.0348, input: 3.18, output: 1.14, weight: 1.38, fixed: 24_600 },
};

/** What the coefficients of a form are multiplied with. */
export function formTerms(size: ConvSize, form: FormName): FormCosts {
  const { batch, inChannels, outChannels, outHeight, outWidth } = size;
  const tile = form === "direct" ? 1 : form === "tiles of 2" ? 2 : 4;
  const points = form === "direct" ? 1 : (tile + 2) ** 2;
  const positions = points * batch * Math.ceil(outHeight / tile) * Math.ceil(outWidth / tile);
  const taps = form === "direct" ? 9 : 1;
  const pairs = inChannels * outChannels;
  return {
    mac: positions * taps * pairs,
    input: positions * inChannels,
    output: positions * outChannels,
    weight: (form === "direct" ? 9 : points) * pairs,
    fixed: 1,
  };
}

/** Nanoseconds on one core. */
export function trainingTime(size: ConvSize, form: FormName): number {
  const [terms, costs] = [formTerms(size, form), FORM_COSTS[form]];
  const keys = Object.keys(terms) as (keyof FormCosts)[];
  return keys.reduce((sum, key) => sum + terms[key] * costs[key], 0);
}

/** What Winograd's form must save: it keeps its transformed input for the backward pass, more than twice the input's memory. */
const LEAST_GAIN = 0.05;

/** The fastest form for the CPU. */
export function chooseTrainingWinograd(size: ConvSize): WinogradTile | undefined {
  const direct = trainingTime(size, "direct") * (1 - LEAST_GAIN);
  const [two, four] = [trainingTime(size, "tiles of 2"), trainingTime(size, "tiles of 4")];
  if (Math.min(two, four) >= direct) return undefined;
  return four <= two ? 4 : 2;
}
