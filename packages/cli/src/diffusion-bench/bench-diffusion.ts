/**
 * The paper's headline as a measurement: the same denoiser on the latents of different autoencoders, of pictures of one size.
 */
import { errorMessage } from "@dcae/core/graph";
import type { Engine } from "@dcae/core/runtime";
import { benchDenoising, LATENTS, type LatentName, type SizeName } from "@dcae/diffusion";
import { commonResolution } from "@dcae/diffusion/internal";
import { type BenchTimes, type Machine, summarizeTimes, thisMachine } from "@dcae/eval";
import { benchTraining, type StepMeasurement } from "./bench-training.js";

export const DIFFUSION_PARTS = ["denoise", "train"] as const;
export type DiffusionPart = (typeof DIFFUSION_PARTS)[number];

/** UViT-H on f64c128 over SD-VAE-f8, ImageNet 512 px, H100, half precision, batches that fill it (arXiv 2410.10733, abstract). */
export const PAPER_SPEEDUP: Readonly<Record<DiffusionPart, number>> = { denoise: 19.1, train: 17.9 };

export interface DiffusionBenchOptions {
  readonly denoisers: readonly SizeName[];
  /** Speed-ups are against the first. */
  readonly latents: readonly LatentName[];
  readonly parts: readonly DiffusionPart[];
  /** Latents per run. */
  readonly batch: number;
  readonly warmup: number;
  readonly iterations: number;
  readonly signal: AbortSignal;
  readonly onProgress: (label: string, done: number, total: number) => void;
}

export interface DiffusionBenchEntry {
  readonly denoiser: SizeName;
  readonly part: DiffusionPart;
  readonly latent: LatentName;
  readonly patchSize: number;
  readonly batch: number;
  readonly tokens?: number;
  readonly parameters?: number;
  /** Of one forward pass of one latent. */
  readonly gmacs?: number;
  /** Of the batch, in seconds. */
  readonly times?: BenchTimes;
  /** Median on the first latents over that on these. */
  readonly speedup?: number;
  /** Why it failed, one line. */
  readonly problem?: string;
}

export interface DiffusionBenchResult {
  readonly formatVersion: 1;
  readonly kind: "diffusion-throughput";
  /** ISO 8601. */
  readonly date: string;
  readonly machine: Machine;
  readonly engine: string;
  readonly threads: number | null;
  /** Of the pictures, in pixels; null where latents differ in it. */
  readonly resolution: number | null;
  readonly warmup: number;
  readonly iterations: number;
  readonly paper: Readonly<Record<DiffusionPart, number>>;
  readonly entries: readonly DiffusionBenchEntry[];
}

/** A case that fails is an entry with its problem; the others go on. */
export async function benchDiffusion(
  engine: Engine,
  threads: number | null,
  options: DiffusionBenchOptions,
): Promise<DiffusionBenchResult> {
  const { denoisers, latents, parts, batch, warmup, iterations, signal, onProgress } = options;
  const cases = denoisers.flatMap((denoiser) =>
    parts.flatMap((part) => latents.map((latent) => ({ denoiser, part, latent }))),
  );
  const entries: DiffusionBenchEntry[] = [];
  for (const [done, { denoiser, part, latent }] of cases.entries()) {
    onProgress(`${denoiser} ${part} ${latent}`, done, cases.length);
    const about = { denoiser, part, latent, patchSize: LATENTS[latent].patchSize, batch };
    try {
      const bench = { size: denoiser, batch, warmup, runs: iterations, signal };
      const { times, ...counts } =
        part === "train"
          ? await benchTraining(engine, { ...bench, latent })
          : await measureDenoising(engine, { ...bench, latents: [latent] });
      const summary = summarizeTimes(times);
      const first = entries.find((entry) => entry.denoiser === denoiser && entry.part === part);
      // Without the first latents there is nothing to compare with.
      const base = first === undefined ? summary : first.latent === latents[0] ? first.times : undefined;
      entries.push({
        ...about,
        ...counts,
        times: summary,
        ...(base === undefined ? {} : { speedup: base.median / summary.median }),
      });
    } catch (error) {
      if (signal.aborted) throw error;
      entries.push({ ...about, problem: errorMessage(error) });
    }
  }
  return {
    formatVersion: 1,
    kind: "diffusion-throughput",
    date: new Date().toISOString(),
    machine: thisMachine(),
    engine: engine.name,
    threads,
    resolution: commonResolution(latents) ?? null,
    warmup,
    iterations,
    paper: PAPER_SPEEDUP,
    entries,
  };
}

async function measureDenoising(
  engine: Engine,
  options: Parameters<typeof benchDenoising>[1],
): Promise<StepMeasurement> {
  const [row] = await benchDenoising(engine, options);
  const { tokens, parameters, gmacs, times } = row as NonNullable<typeof row>;
  return { tokens, parameters, gmacs, times };
}
