/**
 * What one denoising step costs on the latents of different autoencoders: the paper's reason to exist, as a measurement.
 *
 * The same denoiser runs on latents of pictures of one size; the deeper the compression, the fewer tokens it sees. Weights are
 * arbitrary numbers, since time doesn't depend on them.
 */
import { ConfigError } from "@dcae/core";
import type { WeightEntry, Weights } from "@dcae/core/checkpoint";
import { countMacs, createRandom, type ParameterSpec, sizeOf, Tensor } from "@dcae/core/graph";
import { median } from "@dcae/core/internal";
import type { Engine } from "@dcae/core/runtime";
import { buildDenoiseProgram, denoiserParameters } from "../denoisers/denoise.js";
import { tokenCount } from "../denoisers/denoiser-config.js";
import { denoiserPreset, LATENTS, type LatentName, latentShape, type SizeName } from "../denoisers/presets.js";

export interface DenoisingBenchOptions {
  readonly size: SizeName;
  /** Latents to compare; the speed-up is against the first (default: SD-VAE-f8, then DC-AE f32, f64, f128, all at 512 px). */
  readonly latents?: readonly LatentName[];
  /** Default 1. */
  readonly batch?: number;
  /** Timed runs (default 5), of which the median counts. */
  readonly runs?: number;
  /** Runs before them (default 1). */
  readonly warmup?: number;
  /** Asked between two runs. */
  readonly signal?: AbortSignal | undefined;
  readonly onRow?: (row: DenoisingBenchRow) => void;
}

export interface DenoisingBenchRow {
  readonly latent: LatentName;
  /** Patch tokens. */
  readonly tokens: number;
  readonly parameters: number;
  /** 10^9 multiply-accumulates of matrix products and convolutions per sample. */
  readonly gmacs: number;
  /** Median seconds per forward pass of the batch. */
  readonly seconds: number;
  /** Seconds of every run. */
  readonly times: readonly number[];
  /** 10^9 floating-point operations per second, two for each multiply-accumulate. */
  readonly gflops: number;
  /** Seconds on the first latents over seconds on these. */
  readonly speedup: number;
}

/** The baseline, then the compressions of DC-AE, of pictures of 512 px. */
export const BENCH_LATENTS: readonly LatentName[] = [
  "sd-vae-f8-512",
  "dc-ae-f32c32-512",
  "dc-ae-f64c128-512",
  "dc-ae-f128c512-512",
];

/**
 * Times one forward pass on each kind of latent.
 *
 * @throws ConfigError for unknown names, EngineError when the device can't hold a model
 */
export async function benchDenoising(engine: Engine, options: DenoisingBenchOptions): Promise<DenoisingBenchRow[]> {
  const { size, latents = BENCH_LATENTS, batch = 1, runs = 5, warmup = 1, onRow, signal } = options;
  if (!(runs >= 1)) throw new ConfigError(`runs must be at least 1, got ${runs}`);
  const rows: DenoisingBenchRow[] = [];
  for (const latent of latents) {
    const { config } = denoiserPreset(size, latent);
    const specs = denoiserParameters(config);
    const program = buildDenoiseProgram(config, batch);
    const gmacs = countMacs(program) / batch / 1e9;
    const loaded = await engine.load(program, benchmarkWeights(specs));
    try {
      const shape = latentShape(config, batch);
      const inputs = {
        x: Tensor.float32(createRandom(0).normal(new Float32Array(sizeOf(shape))), shape),
        t: Tensor.full([batch], 500),
        labels: Tensor.zeros([batch], "int32"),
      };
      const times: number[] = [];
      for (let run = -warmup; run < runs; run++) {
        signal?.throwIfAborted();
        const start = performance.now();
        await loaded.run(inputs);
        if (run >= 0) times.push((performance.now() - start) / 1000);
      }
      const seconds = median(times);
      const row = {
        latent,
        tokens: tokenCount(config),
        parameters: specs.reduce((sum, spec) => sum + sizeOf(spec.shape), 0),
        gmacs,
        seconds,
        times,
        gflops: (2 * gmacs * batch) / seconds,
        speedup: (rows[0]?.seconds ?? seconds) / seconds,
      };
      rows.push(row);
      onRow?.(row);
    } finally {
      await loaded.dispose();
    }
  }
  return rows;
}

/** Resolution that all of the given latents share, for tables; undefined where they differ. */
export function commonResolution(latents: readonly LatentName[]): number | undefined {
  const [first, ...others] = latents.map((name) => LATENTS[name].resolution);
  return others.every((resolution) => resolution === first) ? first : undefined;
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
