/** Metrics of picture pairs, batch by batch: PSNR here, SSIM and LPIPS on an engine. */
import { ConfigError, type Image, psnr, Tensor } from "@dcae/core";
import type { Weights } from "@dcae/core/checkpoint";
import { createProgram, createScope, mul, type Program, sub } from "@dcae/core/graph";
import type { ProgramCache } from "@dcae/core/internal";
import { type LpipsOptions, lpips, lpipsMinSide } from "@dcae/core/nets";
import { SSIM_MIN_SIDE, ssimProgram } from "../metrics/ssim.js";
import { pictureInput, picturesToTensor } from "../networks/pictures.js";
import type { Protocol } from "../protocols/protocol.js";

/** Which pair metrics to compute; LPIPS needs its weights. */
interface PairMetrics {
  readonly psnr: boolean;
  readonly ssim: boolean;
  readonly lpips: Weights | undefined;
}

/** Why pairs of this size are too small for a metric, if they are. */
export function tooSmall(
  width: number,
  height: number,
  { ssim, lpips }: PairMetrics,
  { lpipsTrunk }: Pick<Protocol, "lpipsTrunk">,
): string | undefined {
  const side = Math.min(width, height);
  const needs = (metric: string, minSide: number) =>
    `${width}x${height} pixels are fewer than ${metric} needs (${minSide} per side)`;
  if (lpips !== undefined && side < lpipsMinSide(lpipsTrunk)) return needs("LPIPS", lpipsMinSide(lpipsTrunk));
  return ssim && side < SSIM_MIN_SIDE ? needs("SSIM", SSIM_MIN_SIDE) : undefined;
}

const NO_WEIGHTS: Weights = { source: "none", entries: new Map(), close: async () => {} };

/**
 * One value per pair and metric, as tensors [n] named psnr, ssim and lpips.
 *
 * @param size batch of the programs; fewer pairs are filled up
 */
export async function computePairMetrics(
  originals: readonly Image[],
  reconstructions: readonly Image[],
  metrics: PairMetrics,
  protocol: Protocol,
  size: number,
  pool: ProgramCache,
): Promise<Record<string, Tensor>> {
  const count = originals.length;
  const a = picturesToTensor(originals, size);
  const b = picturesToTensor(reconstructions, size);
  const [, height, width] = a.shape as [number, number, number];
  const rows: Record<string, Tensor> = {};
  const first = (tensor: Tensor) => tensor.slice([{ stop: count }]);
  if (metrics.psnr) {
    const values = originals.map((image, i) => psnr(image, reconstructions[i] as Image));
    rows.psnr = new Tensor("float64", Float64Array.from(values), [count]);
  }
  if (metrics.ssim) {
    const build = () => ssimProgram(size, height, width);
    const result = await pool.run(`ssim ${a.shape.join("x")}`, build, NO_WEIGHTS, { a, b });
    rows.ssim = first(result[protocol.ssimBorder] as Tensor);
  }
  if (metrics.lpips !== undefined) {
    const { lpipsTrunk: trunk, lpipsNorm: norm } = protocol;
    const build = () => lpipsProgram({ count: size, height, width, trunk, norm });
    const { distance } = await pool.run(`lpips ${a.shape.join("x")}`, build, metrics.lpips, { a, b });
    rows.lpips = first(distance as Tensor);
  }
  return rows;
}

// LPIPS (`@dcae/core/nets`) as a program of 8-bit pictures.

export interface LpipsProgramOptions extends Required<Pick<LpipsOptions, "trunk" | "norm">> {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  /** Widths of the five taps; the published ones by default. */
  readonly widths?: readonly number[] | undefined;
}

/**
 * Inputs `a` and `b`, 8-bit pictures [N, H, W, 3]; output `distance` [N].
 *
 * @throws ConfigError when a side is too short for the trunk
 */
export function lpipsProgram({ count, height, width, widths, trunk, norm }: LpipsProgramOptions): Program {
  const minSide = lpipsMinSide(trunk);
  if (Math.min(height, width) < minSide) {
    throw new ConfigError(`LPIPS (${trunk}) needs pictures of at least ${minSide} pixels per side`, {
      hint: `The pictures have ${width}x${height}; leave lpips out of the metrics.`,
    });
  }
  const picture = (name: string) => sub(mul(pictureInput(name, count, height, width), 2 / 255), 1);
  const options = { trunk, norm, ...(widths === undefined ? {} : { widths }) };
  const { distance } = lpips(createScope(), picture("a"), picture("b"), options);
  return createProgram(`lpips (${trunk})`, { distance });
}
