/** What `dcae bench diffusion` gives: as JSON, and as lines for a terminal. */
import { formatTable } from "@dcae/core/internal";
import type { DiffusionBenchEntry } from "@dcae/diffusion";
import type { PAPER_SPEEDUP } from "@dcae/diffusion/internal";
import type { Machine } from "@dcae/eval/internal";

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
  readonly paper: typeof PAPER_SPEEDUP;
  readonly entries: readonly DiffusionBenchEntry[];
}

const HEADER = ["latent", "patch", "tokens", "GMACs", "ms", "spread", "GFLOP/s", "speed-up"];

function cells({
  latent,
  patchSize,
  batch,
  part,
  tokens,
  gmacs,
  times,
  speedup,
  problem,
}: DiffusionBenchEntry): string[] {
  if (times === undefined || gmacs === undefined) return [latent, String(patchSize), `failed: ${problem}`];
  // A training step computes about three forward passes.
  const passes = part === "train" ? 3 : 1;
  return [
    latent,
    String(patchSize),
    String(tokens),
    gmacs.toFixed(2),
    (1000 * times.median).toPrecision(4),
    `${(100 * times.spread).toFixed(0)} %`,
    ((2 * passes * gmacs * batch) / times.median).toFixed(0),
    speedup === undefined ? "" : `${speedup.toFixed(1)}x`,
  ];
}

/** A table per denoiser and part, and what the paper says. */
export function formatDiffusionBench(result: DiffusionBenchResult): string {
  const { entries, machine, engine, threads, resolution, warmup, iterations, paper } = result;
  const groups = new Map<string, DiffusionBenchEntry[]>();
  for (const entry of entries) {
    const what =
      entry.part === "train" ? "training step (forward, backward, AdamW)" : "denoising step (one forward pass)";
    const key = `${entry.denoiser}, ${what}, batch ${entry.batch}`;
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  const tables = [...groups].map(([title, rows]) => {
    const isNumber = HEADER.map((_, column) => column > 0);
    return [title, ...formatTable([HEADER, ...rows.map(cells)], isNumber)].join("\n");
  });
  const size = resolution === null ? "" : `, pictures of ${resolution} px`;
  return [
    `${engine}, ${threads ?? machine.threads} threads, ${machine.cpu}${size}; medians of ${iterations} runs after ${warmup}`,
    ...tables,
    `The paper: ${paper.denoise}x for a denoising step, ${paper.train}x for a training step (UViT-H, dc-ae-f64c128 over sd-vae-f8, on\n` +
      "an H100 in half precision with batches that fill it).",
  ].join("\n\n");
}
