/** The options that say where a model runs, and loading it there. */
import {
  type AutoencoderDC,
  type AutoencoderKL,
  createEngine,
  DEVICES,
  type Device,
  type Engine,
  loadAutoencoder,
} from "@dcae/core";
import { type Command, Option } from "commander";
import type { CliIo } from "../cli-io.js";
import { unlessInterrupted } from "../interrupted.js";
import { UsageError } from "../usage-error.js";
import { type ModelFlags, modelSource, openOptions } from "./model-options.js";
import { parseCount } from "./parse-values.js";

export type Model = AutoencoderDC | AutoencoderKL;

/** Where a fixed computation runs. */
export interface DeviceFlags {
  readonly device: Device | "auto";
  readonly threads?: number;
}

export interface EngineFlags extends DeviceFlags {
  readonly dtype: "float32" | "float16";
  readonly optimize?: boolean;
  readonly programCache?: string;
  /** Bytes; a limit that only the CPU has. */
  readonly maxMemory?: number;
}

/** Devices of Node; wasm is the browser's. */
export const NODE_DEVICES = DEVICES.filter((device) => device !== "wasm");

/** Adds where a model runs. */
export function addDeviceOptions(command: Command): Command {
  return command
    .addOption(deviceOption())
    .addOption(
      new Option("--dtype <type>", "type that is computed in").choices(["float32", "float16"]).default("float32"),
    )
    .addOption(threadsOption());
}

/** The same, and the rewriting that autoencoders gain from. */
export function addEngineOptions(command: Command): Command {
  return addDeviceOptions(command).option(
    "--optimize",
    "rewrite the model into a form that is faster on a CPU and takes several times the memory",
  );
}

/** Adds the folder of what optimized autoencoders compute from their weights. */
export function programCacheOption(): Option {
  return new Option(
    "--program-cache <dir>",
    "keep what is computed from the weights at loading in this folder: with --optimize, loads faster and takes less memory",
  );
}

/** Adds where networks run that compute in float32 only. */
export function addFloat32Options(command: Command): Command {
  return command.addOption(deviceOption()).addOption(threadsOption());
}

function deviceOption(): Option {
  return new Option("--device <name>", "where to compute").choices(["auto", ...NODE_DEVICES]).default("auto");
}

function threadsOption(): Option {
  return new Option("--threads <n>", "CPU threads (default: all cores)").argParser(parseCount);
}

/** Starts an engine in float32, lets `work` use it, and frees it. */
export async function withEngine<T>(
  { device, threads }: DeviceFlags,
  io: CliIo,
  work: (engine: Engine) => Promise<T>,
): Promise<T> {
  const engine = await createEngine(threads === undefined ? { device } : { device, threads });
  try {
    return await work(engine);
  } finally {
    // After an interruption there may be a computation that this would wait for.
    if (!io.signal.aborted) await engine.dispose();
  }
}

/** Loads a model, lets `work` use it, and frees it. */
export async function withModel<T>(
  flags: ModelFlags & EngineFlags & { readonly scalingFactor?: number },
  io: CliIo,
  work: (model: Model) => Promise<T>,
): Promise<T> {
  const { dtype, threads, optimize = false, scalingFactor, programCache, maxMemory } = flags;
  const device = maxMemory !== undefined && flags.device === "auto" ? "cpu" : flags.device;
  if (maxMemory !== undefined && device !== "cpu") {
    throw new UsageError(`--max-memory has no effect on the memory of ${device}`, { hint: "Use --device cpu." });
  }
  const kept = programCache === undefined ? {} : { programCache };
  const options = { ...(await openOptions(flags, io)), device, dtype, optimize, scalingFactor, ...kept };
  io.progress.show({ label: "loading", done: 0, total: 1, detail: flags.model });
  const source = await modelSource(flags.model, flags);
  return withLoaded(() => loadAutoencoder(source, threads === undefined ? options : { ...options, threads }), io, work);
}

/** As `withModel`, for a model that `load` gives. */
export async function withLoaded<T>(
  load: () => Promise<Model>,
  io: CliIo,
  work: (model: Model) => Promise<T>,
): Promise<T> {
  const loading = load();
  try {
    return await work(await unlessInterrupted(loading, io.signal));
  } finally {
    io.progress.clear();
    const disposed = loading.then(
      (model) => model.dispose(),
      () => undefined, // reported already
    );
    // After an interruption there may be a computation that this would wait for.
    if (!io.signal.aborted) await disposed;
  }
}
