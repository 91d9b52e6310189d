/**
 * The paper's headline as a measurement: what a step of the same denoiser costs on the latents of different autoencoders, of pictures
 * of one size. The deeper the compression, the fewer tokens it sees. Weights are arbitrary numbers: time doesn't depend on them.
 */
import { Tensor } from "@dcae/core";
import type { WeightEntry, Weights } from "@dcae/core/checkpoint";
import { createRandom, errorMessage, type ParameterSpec, sizeOf } from "@dcae/core/graph";
import { type RunTimes, summarizeTimes } from "@dcae/core/internal";
import type { Engine } from "@dcae/core/runtime";
import { buildDenoiseProgram, type DenoiserCost, denoiserCost, denoiserParameters } from "../denoisers/denoise.js";
import { denoiserPreset, LATENTS, type LatentName, latentShape, type SizeName } from "../denoisers/presets.js";

/** The kinds of step: one forward pass, or forward, backward and AdamW. */
export type DiffusionPart = "denoise" | "train";

/** UViT-H on f64c128 over SD-VAE-f8, ImageNet 512 px, H100, half precision, batches that fill it (arXiv 2410.10733, abstract). */
export const PAPER_SPEEDUP: Readonly<Record<DiffusionPart, number>> = { denoise: 19.1, train: 17.9 };

/** The baseline, then the compressions of DC-AE, of pictures of 512 px. */
export const BENCH_LATENTS: readonly LatentName[] = [
  "sd-vae-f8-512",
  "dc-ae-f32c32-512",
  "dc-ae-f64c128-512",
  "dc-ae-f128c512-512",
];

export interface StepBench {
  readonly size: SizeName;
  readonly latent: LatentName;
  /** Official keys that differ from the size's, as a smaller depth. */
  readonly overrides?: Readonly<Record<string, unknown>> | undefined;
  /** Latents per run. */
  readonly batch: number;
  /** Runs that don't count. */
  readonly warmup: number;
  /** Runs that do, at least 1. */
  readonly runs: number;
  /** Asked between two runs. */
  readonly signal?: AbortSignal | undefined;
}

export interface StepMeasurement extends DenoiserCost {
  /** Seconds of every run of the batch. */
  readonly times: readonly number[];
}

/** Measures one kind of step: `benchDenoising` here, `benchTraining` of `@dcae/train/diffusion`. */
export type MeasureStep = (engine: Engine, bench: StepBench) => Promise<StepMeasurement>;

/** Options of `benchDiffusion`. */
export interface DiffusionBenchOptions extends Omit<StepBench, "size" | "latent"> {
  readonly denoisers: readonly SizeName[];
  /** Speed-ups are against the first (default: SD-VAE-f8, then DC-AE f32, f64, f128, all at 512 px). */
  readonly latents?: readonly LatentName[];
  /** What measures each kind of step. */
  readonly parts: Readonly<Partial<Record<DiffusionPart, MeasureStep>>>;
  /** Called before each case. */
  readonly onProgress?: (label: string, done: number, total: number) => void;
}

/** One measured case of `benchDiffusion`. */
export interface DiffusionBenchEntry extends Partial<DenoiserCost> {
  readonly denoiser: SizeName;
  readonly part: DiffusionPart;
  readonly latent: LatentName;
  readonly patchSize: number;
  readonly batch: number;
  /** Of the batch, in seconds. */
  readonly times?: RunTimes;
  /** Median on the first latents over that on these. */
  readonly speedup?: number;
  /** Why it failed, one line. */
  readonly problem?: string;
}

/** A case that fails is an entry with its problem; the others go on. @throws the signal's reason */
export async function benchDiffusion(engine: Engine, options: DiffusionBenchOptions): Promise<DiffusionBenchEntry[]> {
  const { denoisers, latents = BENCH_LATENTS, parts, onProgress, ...bench } = options;
  const measures = Object.entries(parts) as [DiffusionPart, MeasureStep][];
  const cases = denoisers.flatMap((denoiser) =>
    measures.flatMap(([part, measure]) => latents.map((latent) => ({ denoiser, part, measure, latent }))),
  );
  const entries: DiffusionBenchEntry[] = [];
  for (const [done, { denoiser, part, measure, latent }] of cases.entries()) {
    onProgress?.(`${denoiser} ${part} ${latent}`, done, cases.length);
    const about = { denoiser, part, latent, patchSize: LATENTS[latent].patchSize, batch: bench.batch };
    try {
      const { times, ...cost } = await measure(engine, { ...bench, size: denoiser, latent });
      const summary = summarizeTimes(times);
      const first = entries.find((entry) => entry.denoiser === denoiser && entry.part === part);
      // Without the first latents there is nothing to compare with.
      const base = first === undefined ? summary : first.latent === latents[0] ? first.times : undefined;
      const speedup = base === undefined ? {} : { speedup: base.median / summary.median };
      entries.push({ ...about, ...cost, times: summary, ...speedup });
    } catch (error) {
      if (bench.signal?.aborted) throw error;
      entries.push({ ...about, problem: errorMessage(error) });
    }
  }
  return entries;
}

/** Times one forward pass. @throws ConfigError for unknown names, EngineError when the device can't hold the model */
export async function benchDenoising(engine: Engine, bench: StepBench): Promise<StepMeasurement> {
  const { size, latent, batch, overrides } = bench;
  const { config } = denoiserPreset(size, latent, overrides);
  const weights = benchmarkWeights(denoiserParameters(config));
  const loaded = await engine.load(buildDenoiseProgram(config, batch), weights);
  try {
    const shape = latentShape(config, batch);
    const inputs = {
      x: Tensor.float32(createRandom(0).normal(new Float32Array(sizeOf(shape))), shape),
      t: Tensor.full([batch], 500),
      labels: Tensor.zeros([batch], "int32"),
    };
    return { ...denoiserCost(config), times: await timeRuns(() => loaded.run(inputs), bench) };
  } finally {
    await loaded.dispose();
  }
}

/** Seconds of each run behind the warm-up. */
export async function timeRuns(
  run: () => Promise<unknown>,
  { warmup, runs, signal }: Pick<StepBench, "warmup" | "runs" | "signal">,
): Promise<number[]> {
  const times: number[] = [];
  for (let i = -warmup; i < runs; i++) {
    signal?.throwIfAborted();
    const start = performance.now();
    await run();
    if (i >= 0) times.push((performance.now() - start) / 1000);
  }
  return times;
}

/** Small numbers around 0, the same block over and over: drawing 10^9 normals would take longer than the benchmark. */
export function benchmarkWeights(specs: readonly ParameterSpec[]): Weights {
  const block = createRandom(1).normal(new Float32Array(65536), 0, 0.02);
  const entries = specs.map(({ name, dtype, shape }): [string, WeightEntry] => {
    const read = async () => {
      const values = new Float32Array(sizeOf(shape));
      for (let at = 0; at < values.length; at += block.length) values.set(block.subarray(0, values.length - at), at);
      return Tensor.float32(values, shape);
    };
    return [name, { name, dtype, shape, read }];
  });
  return { source: "benchmark weights", entries: new Map(entries), close: async () => {} };
}

/** Side in pixels of the pictures that all of the given latents are of; undefined where they differ. */
export function commonResolution(latents: readonly LatentName[]): number | undefined {
  const [first, ...others] = latents.map((name) => LATENTS[name].resolution);
  return others.every((resolution) => resolution === first) ? first : undefined;
}
