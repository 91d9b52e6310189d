/**
 * Throughput of autoencoders: encode and decode, models x sizes x batches x devices x dtypes x threads (evaluation.md
 * section 9), with the machine's matrix-product rate as the yardstick.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError, errorMessage } from "@dcae/core";
import { type ComputeDType, type Device, runtimeVersion } from "@dcae/core/runtime";
import { thisMachine } from "../results/evaluation-result.js";
import { checkAborted } from "../runners/progress.js";
import type { BenchCase, BenchEntry, BenchMeasurement, BenchPart, BenchPeak, BenchResult } from "./bench-result.js";
import { prepareCheckpoint } from "./prepare-checkpoints.node.js";
import { type BenchTask, runBenchCase } from "./run-bench-case.node.js";
import { runIsolated } from "./run-isolated.node.js";

export interface BenchProgress {
  /** What is measured next. */
  readonly label: string;
  readonly done: number;
  readonly total: number;
  /** The entry that was just finished. */
  readonly entry?: BenchEntry;
}

export interface BenchOptions {
  /** Names of presets (with random weights), or folders and files of checkpoints. */
  readonly models: readonly string[];
  /** Default 256. */
  readonly sizes?: readonly number[];
  /** Default 1. */
  readonly batches?: readonly number[];
  /** Default cpu. */
  readonly devices?: readonly Device[];
  /** Default float32. */
  readonly dtypes?: readonly ComputeDType[];
  /** Default: as many as the machine offers. */
  readonly threads?: readonly number[];
  /** Default both. */
  readonly parts?: readonly BenchPart[];
  /** Graphs as they are, rewritten into faster ones, or both: then the ratio is given too. Default [false]. */
  readonly optimize?: readonly boolean[];
  /** Default 3, with another device than cpu 20. */
  readonly warmup?: number | undefined;
  /** Default 10, with another device than cpu 100. */
  readonly iterations?: number | undefined;
  /** Whether each case has a process of its own (default true). Without, peak memory is that of this process. */
  readonly isolate?: boolean | undefined;
  /** Folder for random weights; by default a temporary one that is removed. */
  readonly workFolder?: string | undefined;
  readonly onProgress?: ((progress: BenchProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

type Measure = (task: BenchTask) => Promise<BenchMeasurement>;

/** Every combination, cheap ones first within a model. */
export function benchCases(options: BenchOptions): BenchCase[] {
  const { models, sizes = [256], batches = [1], devices = ["cpu"], dtypes = ["float32"] } = options;
  const { threads = [availableParallelism()], parts = ["encode", "decode"], optimize = [false] } = options;
  for (const [name, list] of Object.entries({ models, sizes, batches, devices, dtypes, threads, parts, optimize })) {
    if (list.length === 0) throw new ConfigError(`${name}: the list is empty`);
    if (new Set<unknown>(list).size < list.length) throw new ConfigError(`${name}: an entry stands there twice`);
  }
  for (const [name, list] of Object.entries({ sizes, batches, threads })) {
    const wrong = list.find((value) => !Number.isSafeInteger(value) || value < 1);
    if (wrong !== undefined) throw new ConfigError(`${name}: ${wrong} isn't a positive integer`);
  }
  let cases: BenchCase[] = models.map((model) => ({ model }) as BenchCase);
  const vary = <K extends keyof BenchCase>(key: K, values: readonly BenchCase[K][]) => {
    cases = cases.flatMap((entry) => values.map((value) => ({ ...entry, [key]: value })));
  };
  vary("device", devices);
  vary("dtype", dtypes);
  vary("threads", threads);
  vary("size", sizes);
  vary("batch", batches);
  vary("part", parts);
  // Innermost, and plain first: the two that are compared run one after the other.
  vary(
    "optimize",
    [...optimize].sort((a, b) => Number(a) - Number(b)),
  );
  return cases;
}

/**
 * Measures every case. A case that fails (too little memory, a size that doesn't fit) is reported with its reason.
 *
 * @throws ConfigError for options that make no sense or unknown models
 */
export async function benchAutoencoder(options: BenchOptions): Promise<BenchResult> {
  const cases = benchCases(options);
  const onCpu = cases.every(({ device }) => device === "cpu");
  const { warmup = onCpu ? 3 : 20, iterations = onCpu ? 10 : 100, isolate = true, signal, onProgress } = options;
  const temporary = options.workFolder === undefined ? await mkdtemp(join(tmpdir(), "dcae-bench-")) : undefined;
  const folder = options.workFolder ?? (temporary as string);
  const measure: Measure = isolate ? (task) => runIsolated(task, { signal }) : runBenchCase;
  try {
    const checkpoints = new Map<string, string>();
    for (const model of new Set(options.models)) {
      checkAborted(signal);
      onProgress?.({ label: `weights of ${model}`, done: 0, total: cases.length });
      checkpoints.set(model, await prepareCheckpoint(model, folder));
    }
    const peaks = new Map<string, BenchPeak>();
    const entries: BenchEntry[] = [];
    for (const bench of cases) {
      checkAborted(signal);
      const { device, threads } = bench;
      const setting = `${device}, ${threads} threads`;
      const progress = { done: entries.length, total: cases.length };
      if (!peaks.has(setting)) {
        onProgress?.({ label: `matrix products on ${setting}`, ...progress });
        const peak = await measurePeak(measure, { device, threads }, iterations);
        if (peak !== undefined) peaks.set(setting, peak);
      }
      onProgress?.({ label: labelOf(bench), ...progress });
      const task: BenchTask = {
        kind: "model",
        ...bench,
        checkpoint: checkpoints.get(bench.model) as string,
        warmup,
        iterations,
      };
      const measured = await measureEntry(measure, bench, task, peaks.get(setting), signal);
      const entry = withSpeedup(measured, entries.at(-1));
      entries.push(entry);
      onProgress?.({ label: labelOf(bench), done: entries.length, total: cases.length, entry });
    }
    return {
      formatVersion: 1,
      kind: "autoencoder-throughput",
      date: new Date().toISOString(),
      machine: thisMachine(),
      runtime: `onnxruntime-node ${await runtimeVersion()}`,
      warmup,
      iterations,
      conditions: [
        "random normal input, one program per shape",
        "the peak is that of float32 matrix products of 2048x2048, best of all runs",
        "times include moving input and output between host and device",
        "GFLOP/s are direct-equivalent: twice the multiply-accumulates of the plain graph over the median time",
        isolate
          ? "each case ran in a process of its own; peak memory is that of the process"
          : "all cases ran in one process; peak memory is that of all cases so far",
      ],
      peaks: [...peaks.values()],
      entries,
    };
  } finally {
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
  }
}

function labelOf({ model, part, size, batch, device, dtype, threads, optimize }: BenchCase): string {
  const graph = optimize ? ", optimized" : "";
  return `${model} ${part} ${batch} x ${size}x${size} on ${device} ${dtype}, ${threads} threads${graph}`;
}

/** Adds what an optimized case gained over the plain one, which ran right before it if at all. */
function withSpeedup(entry: BenchEntry, before: BenchEntry | undefined): BenchEntry {
  const plain = before?.measurement?.times.median;
  const own = entry.measurement?.times.median;
  if (!entry.optimize || before === undefined || plain === undefined || own === undefined) return entry;
  const isSameCase = labelOf({ ...entry, optimize: false }) === labelOf(before);
  return isSameCase ? { ...entry, speedup: plain / own } : entry;
}

async function measurePeak(
  measure: Measure,
  setting: Pick<BenchCase, "device" | "threads">,
  iterations: number,
): Promise<BenchPeak | undefined> {
  try {
    const runs = { warmup: 1, iterations: Math.min(iterations, 10) };
    const task: BenchTask = { kind: "peak", ...setting, dtype: "float32", optimize: false, ...runs };
    const { macs, times } = await measure(task);
    // The best run: a yardstick should not depend on what else the machine does.
    return { ...setting, gflops: (2 * macs) / times.min / 1e9 };
  } catch {
    // Where matrix products fail, so do the cases, and those say why.
    return undefined;
  }
}

async function measureEntry(
  measure: Measure,
  bench: BenchCase,
  task: BenchTask,
  peak: BenchPeak | undefined,
  signal: AbortSignal | undefined,
): Promise<BenchEntry> {
  try {
    const measurement = await measure(task);
    const gflops = (2 * measurement.macs) / measurement.times.median / 1e9;
    return { ...bench, measurement, gflops, ...(peak === undefined ? {} : { shareOfPeak: gflops / peak.gflops }) };
  } catch (error) {
    if (signal?.aborted === true) throw error;
    return { ...bench, problem: errorMessage(error) };
  }
}
