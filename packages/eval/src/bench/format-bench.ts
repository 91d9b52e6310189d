/** A throughput result as lines for a terminal. */
import { formatTable, plural } from "@dcae/core/internal";
import type { BenchCase, BenchEntry, BenchQuality, BenchResult } from "./bench-result.js";

/** The form of a case's graph, in a word. */
export function graphOf(optimize: BenchCase["optimize"]): string {
  if (optimize === "auto") return "auto";
  return optimize ? "optimized" : "plain";
}

interface Column {
  readonly title: string;
  /** Undefined where a failed case has no number. */
  readonly cell: (entry: BenchEntry) => string | undefined;
  readonly isNumber?: boolean;
}

/** What is varied. A column in which all rows are equal moves above the table. */
const SETTINGS: readonly Column[] = [
  { title: "model", cell: ({ model }) => model },
  { title: "part", cell: ({ part }) => part },
  { title: "size", cell: ({ size }) => String(size), isNumber: true },
  { title: "batch", cell: ({ batch }) => String(batch), isNumber: true },
  { title: "device", cell: ({ device }) => device },
  { title: "dtype", cell: ({ dtype }) => dtype },
  { title: "threads", cell: ({ threads }) => String(threads), isNumber: true },
  { title: "graph", cell: ({ optimize }) => graphOf(optimize) },
];

/** Four digits that mean something, never an exponent. */
const significant = (value: number) => (value >= 1000 ? value.toFixed(0) : value.toPrecision(4));
const percent = (share: number | undefined) => (share === undefined ? "" : `${(100 * share).toFixed(0)} %`);

/** What was measured: numbers all of them. */
const NUMBERS: readonly Column[] = [
  {
    title: "ms/image",
    cell: ({ measurement: m, batch }) => m && significant((1000 * m.times.median) / batch),
  },
  { title: "images/s", cell: ({ measurement: m, batch }) => m && significant(batch / m.times.median) },
  { title: "spread", cell: ({ measurement: m }) => m && percent(m.times.spread) },
  { title: "GMAC/image", cell: ({ measurement: m, batch }) => m && (m.macs / batch / 1e9).toFixed(1) },
  { title: "GFLOP/s", cell: ({ gflops }) => gflops?.toFixed(0) },
  { title: "of peak", cell: ({ shareOfPeak }) => percent(shareOfPeak) },
  { title: "plain/opt.", cell: ({ speedup }) => speedup?.toFixed(2) ?? "" },
  { title: "RSS MiB", cell: ({ measurement: m }) => m && String(m.peakRssMiB) },
];

/** Settings that differ, which the rows need, and those that are the same everywhere. */
function splitSettings(entries: readonly BenchEntry[]): { readonly varied: Column[]; readonly common: string[] } {
  const varied: Column[] = [];
  const common: string[] = [];
  for (const column of SETTINGS) {
    const values = new Set(entries.map(column.cell));
    // A row without model and direction says nothing.
    if (values.size > 1 || column.title === "model" || column.title === "part") varied.push(column);
    else for (const value of values) common.push(`${column.title} ${value}`);
  }
  return { varied, common };
}

/** What a type costs a trained model; of random weights only how close it is. */
function qualityLine({ model, dtype, trained, pictures, source, size, ...values }: BenchQuality): string {
  const [own, exact, between] = [values.psnr, values.psnrFloat32, values.psnrBetween].map(
    (db) => `${db.toFixed(2)} dB`,
  );
  const where = `${plural(pictures, "picture")}${source === undefined ? "" : ` of ${source}`}, ${size}x${size}`;
  return trained
    ? `${model} in ${dtype}: PSNR ${own}, in float32 ${exact}, between the two ${between} (${where})`
    : `${model} in ${dtype}: PSNR ${between} against float32 (${where}; random weights say nothing about a trained model's)`;
}

/** The table, with the common settings above, and the machine and the conditions below. */
export function formatBench(result: BenchResult): string {
  const { entries, peaks, machine, runtime, warmup, iterations, conditions, quality = [] } = result;
  const { varied, common } = splitSettings(entries);
  const hasSpeedup = entries.some(({ speedup }) => speedup !== undefined);
  const numbers = NUMBERS.filter(({ title }) => hasSpeedup || title !== "plain/opt.");
  const columns = [...varied, ...numbers.map((column) => ({ ...column, isNumber: true }))];
  const rows = entries.map((entry) =>
    entry.measurement === undefined
      ? [...varied.map(({ cell }) => cell(entry) ?? ""), `failed: ${entry.problem}`]
      : columns.map(({ cell }) => cell(entry) ?? ""),
  );
  return [
    ...(common.length > 0 ? [common.join(", "), ""] : []),
    ...formatTable(
      [columns.map(({ title }) => title), ...rows],
      columns.map(({ isNumber }) => isNumber === true),
    ),
    "",
    ...quality.map(qualityLine),
    ...peaks.map(
      ({ device, threads, gflops }) =>
        `peak: ${gflops.toFixed(0)} GFLOP/s in float32 matrix products on ${device}, ${threads} threads`,
    ),
    `${machine.cpu}, ${machine.threads} threads, ${machine.platform}, Node ${machine.node}, ${runtime}`,
    `${warmup} warm-up and ${iterations} timed runs; ${conditions.join("; ")}`,
  ].join("\n");
}
