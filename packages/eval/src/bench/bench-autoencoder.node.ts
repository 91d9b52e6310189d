/**
 * Throughput of autoencoders: encode and decode, models x sizes x batches x devices x dtypes x threads (evaluation.md
 * section 9), with the machine's matrix-product rate as the yardstick.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "@dcae/core";
import { errorMessage } from "@dcae/core/graph";
import { type ComputeDType, type Device, runtimeVersion } from "@dcae/core/runtime";
import { thisMachine } from "../results/evaluation-result.node.js";
import { checkAborted } from "../runners/chunked-run.node.js";
import type {
  BenchCase,
  BenchEntry,
  BenchMeasurement,
  BenchPart,
  BenchPeak,
  BenchQuality,
  BenchResult,
} from "./bench-result.js";
import { graphOf } from "./format-bench.js";
import { type Int8Measurement, type Int8Pictures, measureInt8, prepareCheckpoint } from "./prepare-models.node.js";
import { type BenchTask, runBenchCase, runIsolated } from "./run-bench-case.node.js";

type Measure = (task: BenchTask) => Promise<BenchMeasurement>;

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
    const quantized = new Map<string, Int8Measurement | { readonly problem: string }>();
    if (options.int8Pictures !== undefined) {
      const threads = Math.max(...cases.map((bench) => bench.threads));
      for (const [model, checkpoint] of checkpoints) {
        checkAborted(signal);
        onProgress?.({ label: `quality of ${model} in int8`, done: 0, total: cases.length });
        // A model that has no int8 is reported with its cases.
        const problem = (error: unknown) => ({ problem: errorMessage(error) });
        quantized.set(model, await measureInt8(checkpoint, options.int8Pictures, threads).catch(problem));
      }
    }
    const peaks = new Map<string, BenchPeak>();
    const lookForPeak = async ({ device, threads }: BenchCase, done: number) => {
      const setting = settingOf({ device, threads });
      checkAborted(signal);
      onProgress?.({ label: `matrix products on ${setting}`, done, total: cases.length });
      const peak = await measurePeak(measure, { device, threads }, iterations);
      const known = peaks.get(setting);
      if (peak !== undefined && peak.gflops > (known?.gflops ?? 0)) peaks.set(setting, peak);
    };
    const entries: BenchEntry[] = [];
    for (const bench of cases) {
      checkAborted(signal);
      const isFirstOfSetting = entries.every((entry) => settingOf(entry) !== settingOf(bench));
      if (isFirstOfSetting) await lookForPeak(bench, entries.length);
      onProgress?.({ label: labelOf(bench), done: entries.length, total: cases.length });
      const int8 = bench.dtype === "int8" ? quantized.get(bench.model) : undefined;
      const task: BenchTask = {
        kind: "model",
        ...bench,
        checkpoint: checkpoints.get(bench.model) as string,
        activationRanges: int8 && "ranges" in int8 ? int8.ranges : undefined,
        warmup,
        iterations,
      };
      const measured: BenchEntry =
        int8 !== undefined && "problem" in int8
          ? { ...bench, ...int8 }
          : await measureEntry(measure, bench, task, signal);
      const entry = withSpeedup(measured, entries);
      entries.push(entry);
      onProgress?.({ label: labelOf(bench), done: entries.length, total: cases.length, entry });
    }
    // Again at the end: a machine that was busy at the beginning would make a low yardstick.
    for (const [i, entry] of entries.entries()) {
      const isLastOfSetting = entries.slice(i + 1).every((later) => settingOf(later) !== settingOf(entry));
      if (isLastOfSetting) await lookForPeak(entry, entries.length);
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
        "the peak is that of float32 matrix products of 2048x2048, best of runs before and after the cases",
        "times include moving input and output between host and device",
        "GFLOP/s are direct-equivalent: twice the multiply-accumulates of the plain graph over the median time",
        isolate
          ? "each case ran in a process of its own; peak memory is that of the process"
          : "all cases ran in one process; peak memory is that of all cases so far",
      ],
      peaks: [...peaks.values()],
      entries: entries.map((entry) => withShare(entry, peaks.get(settingOf(entry)))),
      ...(quantized.size === 0 ? {} : { quality: qualities(quantized, checkpoints) }),
    };
  } finally {
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
  }
}

function withShare(entry: BenchEntry, peak: BenchPeak | undefined): BenchEntry {
  const { gflops } = entry;
  return gflops === undefined || peak === undefined ? entry : { ...entry, shareOfPeak: gflops / peak.gflops };
}

/** Adds what a case that may be rewritten, or is quantized, gained over the plain one in float32, if that ran before it. */
function withSpeedup(entry: BenchEntry, before: readonly BenchEntry[]): BenchEntry {
  const own = entry.measurement?.times.median;
  if (own === undefined || (entry.optimize === false && entry.dtype !== "int8")) return entry;
  // float16 is compared with itself: where a device computes in it, that is the question.
  const dtype = entry.dtype === "int8" ? "float32" : entry.dtype;
  const plainLabel = labelOf({ ...entry, dtype, optimize: false });
  const plain = before.find((other) => labelOf(other) === plainLabel)?.measurement?.times.median;
  return plain === undefined ? entry : { ...entry, speedup: plain / own };
}

function qualities(
  quantized: ReadonlyMap<string, Int8Measurement | { readonly problem: string }>,
  checkpoints: ReadonlyMap<string, string>,
): BenchQuality[] {
  return [...quantized].flatMap(([model, measured]) =>
    "problem" in measured
      ? []
      : // What was found where the user said; weights of a preset's name were drawn.
        [{ model, trained: checkpoints.get(model) === model, ...measured.quality }],
  );
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
  signal: AbortSignal | undefined,
): Promise<BenchEntry> {
  try {
    const measurement = await measure(task);
    const gflops = (2 * measurement.macs) / measurement.times.median / 1e9;
    return { ...bench, measurement, gflops };
  } catch (error) {
    if (signal?.aborted === true) throw error;
    return { ...bench, problem: errorMessage(error) };
  }
}

// What a throughput run is told, and the cases that follow from it.

export interface BenchProgress {
  /** What is measured next. */
  readonly label: string;
  readonly done: number;
  readonly total: number;
  /** The entry that was just finished. */
  readonly entry?: BenchEntry;
}

/** Options of `benchAutoencoder`. */
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
  /** With int8 among the dtypes: pictures for its ranges, and others that tell what it costs. Without it they are refused. */
  readonly int8Pictures?: Int8Pictures | undefined;
  /**
   * Graphs as they are, rewritten into faster ones, or what the engine thinks best ("auto"). Beside false the ratio to it is given
   * too. Default ["auto"], the engines' own.
   */
  readonly optimize?: readonly BenchCase["optimize"][];
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

/** Every combination, cheap ones first within a model. */
export function benchCases(options: BenchOptions): BenchCase[] {
  const { models, sizes = [256], batches = [1], devices = ["cpu"], dtypes = ["float32"] } = options;
  const { threads = [availableParallelism()], parts = ["encode", "decode"], optimize = ["auto"] } = options;
  for (const [name, list] of Object.entries({ models, sizes, batches, devices, dtypes, threads, parts, optimize })) {
    if (list.length === 0) throw new ConfigError(`${name}: the list is empty`);
    if (new Set<unknown>(list).size < list.length) throw new ConfigError(`${name}: an entry stands there twice`);
  }
  if (dtypes.includes("int8") !== (options.int8Pictures !== undefined)) {
    const needed = dtypes.includes("int8") ? "int8 among the dtypes needs them" : "they have no effect without int8";
    throw new ConfigError(`int8Pictures: ${needed}`);
  }
  if (options.int8Pictures !== undefined) {
    const { calibration, test } = options.int8Pictures;
    if (calibration.length === 0 || test.length === 0) throw new ConfigError("int8Pictures: there are no pictures");
    if (new Set(test.map(({ shape }) => shape.join())).size > 1) {
      throw new ConfigError("int8Pictures: those for the test must be of one size, which the result names");
    }
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
  const forms = ([false, "auto", true] as const).filter((form) => optimize.includes(form));
  vary("optimize", forms);
  // Other types than float32 have forms of their own: beside these there is nothing to optimize.
  const withOwnForm = forms.find((form) => form !== true);
  return cases.filter(
    ({ dtype, optimize }) => dtype === "float32" || withOwnForm === undefined || optimize === withOwnForm,
  );
}

/** What a peak belongs to, as in "cpu, 2 threads". */
function settingOf({ device, threads }: Pick<BenchCase, "device" | "threads">): string {
  return `${device}, ${threads} threads`;
}

/** A case in words. */
export function labelOf({ model, part, size, batch, device, dtype, threads, optimize }: BenchCase): string {
  const graph = optimize === false ? "" : `, ${graphOf(optimize)}`;
  return `${model} ${part} ${batch} x ${size}x${size} on ${device} ${dtype}, ${threads} threads${graph}`;
}
