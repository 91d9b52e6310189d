/** The formatting of `dcae bench diffusion` for entries alone. */
import {
  type DiffusionBenchResult,
  formatDiffusionBench as format,
} from "../../src/commands/bench/format-diffusion.js";

export type { DiffusionBenchResult };

export function formatDiffusionBench({ entries }: Pick<DiffusionBenchResult, "entries">): string {
  return format({
    formatVersion: 1,
    kind: "diffusion-throughput",
    date: "",
    machine: { platform: "", cpu: "a CPU", threads: 2, memoryGiB: 1, node: "" },
    engine: "an engine",
    threads: null,
    resolution: 512,
    warmup: 1,
    iterations: 1,
    paper: { denoise: 19.1, train: 17.9 },
    entries,
  });
}
