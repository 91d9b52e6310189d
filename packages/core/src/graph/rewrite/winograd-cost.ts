/**
 * When Winograd pays: a linear model of the time of a 3x3 convolution in its three forms, with coefficients that
 * bench/measure-winograd.mjs fits to measured convolutions and prints in the form of the table below.
 *
 * Only ratios matter for the choice, and they are alike on CPUs with wide vectors: products run at the speed of matrix
 * multiplication, transforms and transformed weights at that of caches and memory.
 */
import type { ConvSize } from "./winograd.js";
import type { WinogradTile } from "./winograd-matrices.js";

/** Nanoseconds on one core. */
export interface WinogradCosts {
  /** Direct convolution, per multiply-accumulate. */
  readonly directMac: number;
  /** Direct convolution, per value of its input. */
  readonly directInput: number;
  /** Winograd, per multiply-accumulate of the products. */
  readonly productMac: number;
  /** Winograd, per value [point, channel, tile] of the transformed input. */
  readonly inputPoint: number;
  /** Winograd, per value [point, channel, tile] of the products. */
  readonly outputPoint: number;
  /** Winograd, per value of the transformed weight, which is read once per run. */
  readonly weight: number;
}

export const COSTS: WinogradCosts = {
  directMac: 0.0187,
  directInput: 2.1,
  productMac: 0.0177,
  inputPoint: 1.8,
  outputPoint: 1.6,
  weight: 0.32,
};

/**
 * Nanoseconds of one run that a byte of further memory must save. Transformed weights are 4 (m = 4) or 1.8 (m = 2) times as
 * large as the weights. At 0.3 ns, convolutions with more weights than work (deep stages of small pictures) take the
 * smaller form or stay direct, which costs a few per cent of time and saves half of the added memory.
 */
const BYTE_PRICE = 0.3;

export function directTime({ batch, inChannels, outChannels, outHeight, outWidth }: ConvSize, costs = COSTS): number {
  const positions = batch * outHeight * outWidth;
  return positions * inChannels * (9 * outChannels * costs.directMac + costs.directInput);
}

export function winogradTime(size: ConvSize, tile: WinogradTile, costs = COSTS): number {
  const { batch, inChannels, outChannels, outHeight, outWidth } = size;
  const tiles = batch * Math.ceil(outHeight / tile) * Math.ceil(outWidth / tile);
  const perTile =
    inChannels * outChannels * costs.productMac + inChannels * costs.inputPoint + outChannels * costs.outputPoint;
  return (tile + 2) ** 2 * (tiles * perTile + inChannels * outChannels * costs.weight);
}

/** Bytes that the transformed weight takes beyond the weight. */
export function winogradExtraBytes({ inChannels, outChannels }: ConvSize, tile: WinogradTile): number {
  return 4 * inChannels * outChannels * ((tile + 2) ** 2 - 9);
}

/** The fastest form for the CPU, memory included at its price. */
export function chooseWinograd(size: ConvSize): WinogradTile | undefined {
  const direct = directTime(size);
  const price = (tile: WinogradTile) => winogradTime(size, tile) + BYTE_PRICE * winogradExtraBytes(size, tile);
  const [four, two] = [price(4), price(2)];
  if (Math.min(four, two) >= direct) return undefined;
  return four <= two ? 4 : 2;
}
