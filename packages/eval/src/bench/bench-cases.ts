/** What a throughput run is told, and the cases that follow from it. */
import { availableParallelism } from "node:os";
import { ConfigError } from "@dcae/core";
import type { ComputeDType, Device } from "@dcae/core/runtime";
import type { BenchCase, BenchEntry, BenchPart } from "./bench-result.js";
import type { Int8Pictures } from "./prepare-models.node.js";

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
  /** With int8 among the dtypes: pictures for its ranges, and others that tell what it costs. Without it they are refused. */
  readonly int8Pictures?: Int8Pictures | undefined;
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

/** Every combination, cheap ones first within a model. */
export function benchCases(options: BenchOptions): BenchCase[] {
  const { models, sizes = [256], batches = [1], devices = ["cpu"], dtypes = ["float32"] } = options;
  const { threads = [availableParallelism()], parts = ["encode", "decode"], optimize = [false] } = options;
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
  vary(
    "optimize",
    [...optimize].sort((a, b) => Number(a) - Number(b)),
  );
  // Other types than float32 have forms of their own: beside these there is nothing to optimize.
  return optimize.includes(false) ? cases.filter((entry) => !(entry.dtype !== "float32" && entry.optimize)) : cases;
}

/** What a peak belongs to, as in "cpu, 2 threads". */
export function settingOf({ device, threads }: Pick<BenchCase, "device" | "threads">): string {
  return `${device}, ${threads} threads`;
}

/** A case in words. */
export function labelOf({ model, part, size, batch, device, dtype, threads, optimize }: BenchCase): string {
  const graph = optimize ? ", optimized" : "";
  return `${model} ${part} ${batch} x ${size}x${size} on ${device} ${dtype}, ${threads} threads${graph}`;
}
