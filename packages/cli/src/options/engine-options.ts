/** The options that say where a model runs, and loading it there. */
import { type AutoencoderDC, type AutoencoderKL, DEVICES, type Device, loadAutoencoder } from "@dcae/core";
import { type Command, Option } from "commander";
import type { CliIo } from "../cli-io.js";
import { unlessInterrupted } from "../interrupted.js";
import { type ModelFlags, modelSource, openOptions } from "./model-options.js";
import { parseCount } from "./parse-values.js";

export type Model = AutoencoderDC | AutoencoderKL;

export interface EngineFlags {
  readonly device: Device | "auto";
  readonly dtype: "float32" | "float16";
  readonly threads?: number;
  readonly optimize?: boolean;
}

/** Devices of Node; wasm is the browser's. */
export const NODE_DEVICES = DEVICES.filter((device) => device !== "wasm");

/** Adds where a model runs. */
export function addDeviceOptions(command: Command): Command {
  return command
    .addOption(new Option("--device <name>", "where to compute").choices(["auto", ...NODE_DEVICES]).default("auto"))
    .addOption(
      new Option("--dtype <type>", "type that is computed in").choices(["float32", "float16"]).default("float32"),
    )
    .option("--threads <n>", "CPU threads (default: all cores)", parseCount);
}

/** The same, and the rewriting that autoencoders gain from. */
export function addEngineOptions(command: Command): Command {
  return addDeviceOptions(command).option(
    "--optimize",
    "rewrite the model into a form that is faster on a CPU and takes several times the memory",
  );
}

/** Loads a model, lets `work` use it, and frees it. */
export async function withModel<T>(
  flags: ModelFlags & EngineFlags & { readonly scalingFactor?: number },
  io: CliIo,
  work: (model: Model) => Promise<T>,
): Promise<T> {
  const { device, dtype, threads, optimize = false, scalingFactor } = flags;
  const options = { ...(await openOptions(flags, io)), device, dtype, optimize, scalingFactor };
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
