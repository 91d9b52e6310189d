/**
 * When Winograd pays at inference: a linear model of the time of a 3x3 convolution in its three forms, with coefficients that
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
  /** Winograd, per value [point, channel, tile] of the transformed input and of the products. */
  readonly point: number;
  /** Winograd, per value of the transformed weight, which is read once per run. */
  readonly weight: number;
}

export const COSTS: WinogradCosts = {
  directMac: 0.00884,
  directInput: 1.87,
  productMac: 0.0116,
  point: 1.39,
  weight: 0.132,
};

/**
 * Nanoseconds of one run that a byte of further memory must save. Transformed weights are 4 (m = 4) or 7 (m = 6) times as
 * large as the weights. At 0.3 ns, tiles of 6 are for weights that many tiles share; at 0.1 ns, an encode of 256x256 with f32c32
 * took 1% less time and a decode 4%, for 0.6 GB more.
 */
const BYTE_PRICE = 0.3;

/** Tiles that are tried. Those of 2 never won. */
const TILES: readonly WinogradTile[] = [4, 6];

export function directTime({ batch, inChannels, outChannels, outHeight, outWidth }: ConvSize, costs = COSTS): number {
  const positions = batch * outHeight * outWidth;
  return positions * inChannels * (9 * outChannels * costs.directMac + costs.directInput);
}

export function winogradTime(size: ConvSize, tile: WinogradTile, costs = COSTS): number {
  const { batch, inChannels, outChannels, outHeight, outWidth } = size;
  const tiles = batch * Math.ceil(outHeight / tile) * Math.ceil(outWidth / tile);
  const perTile = inChannels * outChannels * costs.productMac + (inChannels + outChannels) * costs.point;
  return (tile + 2) ** 2 * (tiles * perTile + inChannels * outChannels * costs.weight);
}

/** Bytes that the transformed weight takes beyond the weight. */
export function winogradExtraBytes({ inChannels, outChannels }: ConvSize, tile: WinogradTile): number {
  return 4 * inChannels * outChannels * ((tile + 2) ** 2 - 9);
}

/** The fastest form for the CPU, memory included at its price. */
export function chooseWinograd(size: ConvSize): WinogradTile | undefined {
  const price = (tile: WinogradTile) => winogradTime(size, tile) + BYTE_PRICE * winogradExtraBytes(size, tile);
  const [best] = [...TILES].sort((a, b) => price(a) - price(b)) as [WinogradTile];
  return price(best) < directTime(size) ? best : undefined;
}
