/**
 * What forms of programs cost on a CPU: which is the fastest, and what it saves.
 *
 * A linear model of the time of a 3x3 convolution in its three forms, with a table of coefficients for each set of instructions, which
 * `npm run bench -- fit` measures and prints in the form of the table below. Only ratios matter for the choice between forms: products
 * run at the speed of matrix multiplication, transforms and transformed weights at that of caches and memory.
 */
import { analyze, countMacs } from "../analyze.js";
import { inlineComposites } from "../map-graph.js";
import type { Program } from "../program.js";
import { type ConvSize, winogradSize } from "./winograd.js";
import type { WinogradTile } from "./winograd-matrices.js";

/** Sets of instructions that the runtime has kernels for. */
export const INSTRUCTION_SETS = ["avx2", "avx512", "neon"] as const;
/** Instruction sets that decide how fast a CPU computes in float32. */
export type InstructionSet = (typeof INSTRUCTION_SETS)[number];

/** Nanoseconds on one core. */
export interface CpuCosts {
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
  /** To make a program ready, per byte of its transformed weights: computing them, and getting fresh memory and files for them. */
  readonly loading: number;
}

const AVX2: CpuCosts = {
  directMac: 0.026,
  directInput: 7.68,
  productMac: 0.0255,
  point: 3.52,
  weight: 0.837,
  loading: 5.5,
};

/** What forms of a convolution cost, by instruction set. */
export const CPU_COSTS: Readonly<Record<InstructionSet, CpuCosts>> = {
  avx2: AVX2,
  avx512: { directMac: 0.00884, directInput: 1.87, productMac: 0.0116, point: 1.39, weight: 0.132, loading: 3 },
  // Not measured yet. Its vectors are half as wide as AVX2's, its ratios of products to memory closer to these than to AVX-512's.
  neon: AVX2,
};

/** Where it isn't known on what a program will run: exported forms, and trainings, whose results must not depend on the machine. */
const UNKNOWN_CPU = CPU_COSTS.avx512;

/**
 * Multiply-accumulates of direct convolutions that a byte of further memory must save in each run. Transformed weights are 4 (m = 4) or 7
 * (m = 6) times as large as the weights. At this price, tiles of 6 are for weights that many tiles share. Counted in work rather than
 * time, because a slower CPU takes longer for both forms, and has no more memory.
 */
const BYTE_PRICE = 33;

/** Tiles that are tried. Those of 2 never won. */
const TILES: readonly WinogradTile[] = [4, 6];

function directTime({ batch, inChannels, outChannels, outHeight, outWidth }: ConvSize, costs: CpuCosts): number {
  const positions = batch * outHeight * outWidth;
  return positions * inChannels * (9 * outChannels * costs.directMac + costs.directInput);
}

function winogradTime(size: ConvSize, tile: WinogradTile, costs: CpuCosts): number {
  const { batch, inChannels, outChannels, outHeight, outWidth } = size;
  const tiles = batch * Math.ceil(outHeight / tile) * Math.ceil(outWidth / tile);
  const perTile = inChannels * outChannels * costs.productMac + (inChannels + outChannels) * costs.point;
  return (tile + 2) ** 2 * (tiles * perTile + inChannels * outChannels * costs.weight);
}

/** Bytes that the transformed weight takes beyond the weight. */
export function winogradExtraBytes({ inChannels, outChannels }: ConvSize, tile: WinogradTile): number {
  return 4 * inChannels * outChannels * ((tile + 2) ** 2 - 9);
}

/** Chooses the fastest form for a CPU, memory included at its price. */
export function winogradChooser(costs: CpuCosts): (size: ConvSize) => WinogradTile | undefined {
  return (size) => {
    const bytePrice = BYTE_PRICE * costs.directMac;
    const price = (tile: WinogradTile) => winogradTime(size, tile, costs) + bytePrice * winogradExtraBytes(size, tile);
    const [best] = [...TILES].sort((a, b) => price(a) - price(b)) as [WinogradTile];
    return price(best) < directTime(size, costs) ? best : undefined;
  };
}

/** The same where it isn't known on what a program will run. */
export const chooseWinograd = winogradChooser(UNKNOWN_CPU);

/** Nanoseconds at loading beside those per byte: for the models that transform weights, and a larger one to load. */
const LOADING_COST = 200e6;
/** Times are predicted to within this share of them: a gain that is smaller may be a loss. */
const LEAST_GAIN = 0.1;

/**
 * Whether rewriting a program saves more time than it costs.
 *
 * @param program as it is written
 * @param runs how often it will run once it is loaded
 */
export function rewritingPays(program: Program, runs: number, costs: CpuCosts = UNKNOWN_CPU): boolean {
  if (program.updates.size > 0) return false;
  const inlined = inlineComposites(program);
  const facts = analyze(inlined);
  const choose = winogradChooser(costs);
  let saved = 0;
  let loading = LOADING_COST;
  const transformed = new Set<unknown>();
  for (const value of facts.order) {
    const size = winogradSize(value, facts);
    const tile = size && choose(size);
    if (size === undefined || tile === undefined) continue;
    saved += directTime(size, costs) - winogradTime(size, tile, costs);
    const weight = value.inputs[1];
    if (!transformed.has(weight)) {
      loading += costs.loading * 4 * size.inChannels * size.outChannels * (tile + 2) ** 2;
      transformed.add(weight);
    }
  }
  if (saved === 0) return false;
  return saved * runs > loading && saved > LEAST_GAIN * countMacs(inlined) * costs.directMac;
}
