/** A throughput result as lines for a terminal. */
import type { BenchEntry, BenchResult } from "./bench-result.js";

const HEADER = [
  "model",
  "part",
  "size",
  "batch",
  "device",
  "dtype",
  "threads",
  "ms/image",
  "images/s",
  "spread",
  "GMAC/image",
  "of peak",
  "RSS MiB",
];

function cells({
  model,
  part,
  size,
  batch,
  device,
  dtype,
  threads,
  measurement,
  problem,
  shareOfPeak,
}: BenchEntry): string[] {
  const setting = [model, part, String(size), String(batch), device, dtype, String(threads)];
  if (measurement === undefined) return [...setting, `failed: ${problem}`];
  const { times, macs, peakRssMiB } = measurement;
  return [
    ...setting,
    ((1000 * times.median) / batch).toPrecision(4),
    (batch / times.median).toPrecision(4),
    `${(100 * times.spread).toFixed(0)} %`,
    (macs / batch / 1e9).toFixed(1),
    shareOfPeak === undefined ? "" : `${(100 * shareOfPeak).toFixed(0)} %`,
    String(peakRssMiB),
  ];
}

/** The table, with the machine and the conditions below. */
export function formatBench({ entries, peaks, machine, runtime, warmup, iterations, conditions }: BenchResult): string {
  const rows = [HEADER, ...entries.map(cells)];
  const widths = HEADER.map((_, column) =>
    rows.reduce((width, row) => (row.length < HEADER.length ? width : Math.max(width, row[column]?.length ?? 0)), 0),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (column < 6 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ");
  return [
    ...rows.map((row) => line(row).trimEnd()),
    "",
    ...peaks.map(
      ({ device, threads, gflops }) =>
        `peak: ${gflops.toFixed(0)} GFLOP/s in float32 matrix products on ${device}, ${threads} threads`,
    ),
    `${machine.cpu}, ${machine.threads} threads, ${machine.platform}, Node ${machine.node}, ${runtime}`,
    `${warmup} warm-up and ${iterations} timed runs; ${conditions.join("; ")}`,
  ].join("\n");
}
