/**
 * When Winograd pays in training: a linear model of the time of a 3x3 convolution whose weight trains, forward and with both
 * gradients, in its forms. bench/measure-convolutions.mjs measures convolutions of many sizes, fits the coefficients and prints
 * them in the form of the table below (fitted to 126 sizes).
 *
 * It pays earlier than at inference, because the transformed input and the transformed gradient each serve two of the three
 * products; and later in weights, which are transformed at every run. Against the fastest form of each size the model's choice
 * loses 1% on average, direct convolutions everywhere 46%.
 */
import { type ConvSize, isSmall, type WinogradTile } from "@dcae/core/graph";

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

/** Small ones are of batches of small pictures, which are transformed by products (graph/rewrite/winograd.ts in core). */
export type FormName = "direct" | "tiles of 2" | "tiles of 4" | "small tiles of 2" | "small tiles of 4";

const FORM_COSTS: Readonly<Record<FormName, FormCosts>> = {
  direct: { mac: 0.0248, input: 4.26, output: 3.77, weight: 6.8, fixed: 124_000 },
  "tiles of 2": { mac: 0.0274, input: 2.53, output: 1.34, weight: 2.38, fixed: 0 },
  "tiles of 4": { mac: 0.0308, input: 3.52, output: 2.05, weight: 1.76, fixed: 4470 },
  "small tiles of 2": { mac: 0.0336, input: 1.47, output: 1.76, weight: 1.98, fixed: 0 },
  "small tiles of 4": { mac: 0.038, input: 1.62, output: 2.01, weight: 1.56, fixed: 0 },
};

/** Winograd's form with tiles of this side for convolutions of this size. Tiles of 6 are for inference. */
export function winogradForm({ batch, outHeight, outWidth }: ConvSize, tile: Exclude<WinogradTile, 6>): FormName {
  return isSmall(batch, outHeight, outWidth) ? `small tiles of ${tile}` : `tiles of ${tile}`;
}

/** What the coefficients of a form are multiplied with. */
export function formTerms(size: ConvSize, form: FormName): FormCosts {
  const { batch, inChannels, outChannels, outHeight, outWidth } = size;
  const tile = form === "direct" ? 1 : form.endsWith("2") ? 2 : 4;
  const points = form === "direct" ? 1 : (tile + 2) ** 2;
  const positions = points * batch * Math.ceil(outHeight / tile) * Math.ceil(outWidth / tile);
  const pairs = inChannels * outChannels;
  return {
    mac: positions * (form === "direct" ? 9 : 1) * pairs,
    input: positions * inChannels,
    output: positions * outChannels,
    weight: (form === "direct" ? 9 : points) * pairs,
    fixed: 1,
  };
}

/** Nanoseconds on one core. */
function trainingTime(size: ConvSize, form: FormName): number {
  const [terms, costs] = [formTerms(size, form), FORM_COSTS[form]];
  const keys = Object.keys(terms) as (keyof FormCosts)[];
  return keys.reduce((sum, key) => sum + terms[key] * costs[key], 0);
}

/** What Winograd's form must save: it keeps its transformed input for the backward pass, more than twice the input's memory. */
const LEAST_GAIN = 0.05;

/** The fastest form for the CPU. */
export function chooseTrainingWinograd(size: ConvSize): WinogradTile | undefined {
  const direct = trainingTime(size, "direct") * (1 - LEAST_GAIN);
  const [two, four] = [trainingTime(size, winogradForm(size, 2)), trainingTime(size, winogradForm(size, 4))];
  if (Math.min(two, four) >= direct) return undefined;
  return four <= two ? 4 : 2;
}
