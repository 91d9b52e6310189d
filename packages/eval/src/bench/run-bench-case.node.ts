/**
 * One measurement: load the model, build one direction for one shape, warm up, time. In this process, or in one of its own: the only
 * honest peak memory, a clean heap, and a case that runs out of memory takes nothing with it.
 *
 * The protocol is that of the official script (evaluation.md section 9): evaluation mode, random normal input, encode and
 * decode apart. Outputs are read back to the host in every run, which is also what synchronizes with a GPU.
 */
import { fork } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { EngineError, Tensor } from "@dcae/core";
import {
  type ActivationRanges,
  countMacs,
  createProgram,
  createRandom,
  input,
  matmul,
  type Program,
  parameter,
} from "@dcae/core/graph";
import { openCheckpoint, summarizeTimes } from "@dcae/core/internal";
import { buildDecodeProgram, buildEncodeProgram, compressionOf, type ModelDescription } from "@dcae/core/models";
import { createEngine, type Engine, type LoadedProgram } from "@dcae/core/runtime";
import type { BenchCase, BenchMeasurement, BenchPart } from "./bench-result.js";

interface BenchRuns {
  readonly warmup: number;
  readonly iterations: number;
}

/** A model case with the place of its weights, or the matrix products that everything is compared with. */
export type BenchTask =
  | (BenchCase &
      BenchRuns & {
        readonly kind: "model";
        readonly checkpoint: string;
        /** With int8. */
        readonly activationRanges?: ActivationRanges | undefined;
      })
  | (Pick<BenchCase, "device" | "dtype" | "threads" | "optimize"> & BenchRuns & { readonly kind: "peak" });

/** Products in a row: long enough that moving the first factor to a device and the result back doesn't count. */
const PEAK_CHAIN = 8;
const PEAK_SIZE = 2048;

/** Measures a case. */
export async function runBenchCase(task: BenchTask): Promise<BenchMeasurement> {
  const { device, dtype, threads, optimize } = task;
  const ranges = task.kind === "model" ? task.activationRanges : undefined;
  const form = ranges === undefined ? { dtype, optimize } : { form: { kind: "int8", ranges } as const };
  const engine = await createEngine({ device, threads, ...form });
  try {
    return task.kind === "peak" ? await measurePeak(engine, task) : await measureModel(engine, task);
  } finally {
    await engine.dispose();
  }
}

async function measureModel(
  engine: Engine,
  task: Extract<BenchTask, { readonly kind: "model" }>,
): Promise<BenchMeasurement> {
  const { model, weights } = await openCheckpoint(task.checkpoint);
  try {
    const program = buildPart(model, task.part, task.batch, task.size);
    const started = performance.now();
    const loaded = await engine.load(program, weights);
    return await measure(loaded, program, (performance.now() - started) / 1000, task);
  } finally {
    await weights.close();
  }
}

/** One direction of a model for square pictures. */
export function buildPart(model: ModelDescription, part: BenchPart, batch: number, size: number): Program {
  const { inChannels, latentChannels } = model.config;
  if (part === "encode") return buildEncodeProgram(model, [batch, inChannels, size, size]);
  const side = size / compressionOf(model);
  return buildDecodeProgram(model, [batch, latentChannels, side, side]);
}

async function measurePeak(engine: Engine, runs: BenchRuns): Promise<BenchMeasurement> {
  const shape = [PEAK_SIZE, PEAK_SIZE];
  const weight = parameter({
    name: "w",
    shape,
    dtype: "float32",
    init: { kind: "constant", value: 0 },
    trainable: false,
  });
  let value = input("x", shape);
  for (let i = 0; i < PEAK_CHAIN; i++) value = matmul(value, weight);
  const program = createProgram("matrix products", { value });
  // Entries of size 1 / sqrt(n) keep the products at the size of the first factor.
  const tensor = normal(shape, 1 / Math.sqrt(PEAK_SIZE));
  const entry = { name: "w", dtype: tensor.dtype, shape, read: async () => tensor };
  const started = performance.now();
  const weights = { source: "random matrix", entries: new Map([["w", entry]]), close: async () => {} };
  const loaded = await engine.load(program, weights);
  return measure(loaded, program, (performance.now() - started) / 1000, runs);
}

function normal(shape: readonly number[], scale = 1): Tensor<"float32"> {
  const data = new Float32Array(shape.reduce((size, dim) => size * dim, 1));
  createRandom(0).normal(data);
  return Tensor.float32(scale === 1 ? data : data.map((value) => value * scale), shape);
}

async function measure(
  loaded: LoadedProgram,
  program: Program,
  loadSeconds: number,
  { warmup, iterations }: BenchRuns,
): Promise<BenchMeasurement> {
  const [[name, { shape }]] = program.inputs as unknown as [[string, { shape: readonly number[] }]];
  const [[outputName, output]] = program.outputs as unknown as [[string, { shape: readonly number[] }]];
  const inputs = { [name]: normal(shape) };
  const times: number[] = [];
  for (let i = 0; i < warmup + iterations; i++) {
    const started = performance.now();
    const result = await loaded.run(inputs);
    if (i >= warmup) times.push((performance.now() - started) / 1000);
    if (i === 0) checkFinite(result[outputName] as Tensor, program.name);
  }
  await loaded.dispose();
  return {
    times: summarizeTimes(times),
    loadSeconds,
    macs: countMacs(program),
    peakRssMiB: Math.round(peakResidentKib() / 1024),
    shapes: { input: shape, output: output.shape },
  };
}

/**
 * KiB that this process had resident at most. On Linux, `maxRSS` of a process that another one started is at least what that one
 * had when it did, which may hold a model of its own.
 */
function peakResidentKib(): number {
  try {
    const own = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    if (own !== undefined) return Number(own);
  } catch {
    // Not Linux. Node gives KiB on every platform.
  }
  return process.resourceUsage().maxRSS;
}

/** A fast run that computes NaN measures nothing. */
function checkFinite(tensor: Tensor, name: string): void {
  if (!tensor.toFloat32().every(Number.isFinite)) {
    throw new EngineError(`"${name}" computed numbers that aren't finite`, { hint: "Use float32." });
  }
}

/** Stands beside the bundle that this code is in. */
const CHILD = new URL("./bench-child.js", import.meta.url);

interface Answer {
  readonly measurement?: BenchMeasurement;
  readonly problem?: string;
}

interface IsolatedOptions {
  readonly signal?: AbortSignal | undefined;
  /** For tests: another script that speaks the protocol of bench-child. */
  readonly child?: URL | undefined;
}

/**
 * Runs a task in a child process.
 *
 * @throws EngineError with the child's problem, or how it ended
 */
export function runIsolated(
  task: BenchTask,
  { signal, child = CHILD }: IsolatedOptions = {},
): Promise<BenchMeasurement> {
  const script = fileURLToPath(child);
  if (!existsSync(script)) {
    return Promise.reject(
      new EngineError(`${script}: the script of isolated measurements isn't there`, {
        hint: "Build the package, or measure without isolation.",
      }),
    );
  }
  return new Promise((resolve, reject) => {
    const started = fork(script, { execArgv: [], stdio: ["ignore", "ignore", "ignore", "ipc"] });
    let answer: Answer | undefined;
    const stop = () => started.kill("SIGKILL");
    signal?.addEventListener("abort", stop, { once: true });
    started.once("message", (message) => {
      answer = message as Answer;
    });
    started.once("error", (error) => reject(new EngineError(`a measurement couldn't start: ${error.message}`)));
    started.once("exit", (code, killedBy) => {
      signal?.removeEventListener("abort", stop);
      if (signal?.aborted === true) reject(signal.reason instanceof Error ? signal.reason : new EngineError("stopped"));
      else if (answer?.measurement !== undefined) resolve(answer.measurement);
      else reject(new EngineError(answer?.problem ?? ending(code, killedBy)));
    });
    started.send(task);
  });
}

function ending(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal === "SIGKILL") return "the process was killed, most likely because memory ran out";
  return signal === null
    ? `the process ended with status ${code} and without a result`
    : `the process ended by ${signal}`;
}
