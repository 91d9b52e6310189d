/** The options that say where a model runs, and loading it there. */
import {
  type CalibrationOptions,
  createEngine,
  type Device,
  type Engine,
  loadAutoencoder,
  loadImage,
  type PretrainedAutoencoder,
} from "@dcae/core";
import { errorAs, rethrowAs } from "@dcae/core/graph";
import { isPictureName } from "@dcae/core/image";
import { chooseModelForm, type ModelForm, unlessAborted } from "@dcae/core/internal";
import {
  COMPUTE_DTYPES,
  type ComputeDType,
  chooseForm,
  cpuFacts,
  DEVICES,
  dtypeOfForm,
  type Form,
  memoryUnknown,
  whyNotInt8,
} from "@dcae/core/runtime";
import { calibrationScenes } from "@dcae/train/scenes";
import { type Command, Option } from "commander";
import type { CliIo } from "../cli-io.js";
import { UsageError } from "../errors.js";
import { type ListedFile, listFiles } from "../files/paths.js";
import { checkPlace, type ModelFlags, openOptions } from "./model-options.js";
import { parseCount } from "./parse-values.js";

export type Model = PretrainedAutoencoder;

/** Where a fixed computation runs. */
export interface DeviceFlags {
  readonly device: Device | "auto";
  readonly threads?: number;
}

/** What decides the form of a model; only `parseForm` and `parseModelForm` know what goes together. */
interface FormFlags extends Pick<DeviceFlags, "device"> {
  readonly dtype: ComputeDType;
  /** Absent: where it pays. */
  readonly optimize?: boolean;
  /** Pictures, or folders of them. */
  readonly calibration?: readonly string[];
}

export interface EngineFlags extends DeviceFlags, FormFlags {
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

/** Adds where an autoencoder runs, in which form, and where what is computed from its weights is kept. */
export function addAutoencoderOptions(command: Command): Command {
  return command
    .addOption(deviceOption())
    .addOption(
      new Option(
        "--dtype <type>",
        "type that is computed in; int8 is for DC-AE on a CPU: a quarter of the weights' memory, and faster where the CPU " +
          "has instructions for it (see `dcae doctor`), at a loss of quality that `dcae reconstruct --compare` shows",
      )
        .choices([...COMPUTE_DTYPES])
        .default("float32"),
    )
    .option(
      "--calibration <paths...>",
      "with --dtype int8: pictures, or folders of them, on which the ranges of values are observed; they are scaled and cut " +
        "to 256x256 (default: four drawn scenes)",
    )
    .addOption(threadsOption())
    .addOption(optimizeOption())
    .addOption(noOptimizeOption())
    .addOption(programCacheOption());
}

/** The same, and the rewriting that autoencoders gain from. */
export function addEngineOptions(command: Command): Command {
  return addDeviceOptions(command).addOption(optimizeOption()).addOption(noOptimizeOption());
}

// Without either of them the choice is "auto".

function optimizeOption(): Option {
  return new Option(
    "--optimize",
    "always rewrite the autoencoder into a form that takes half the time on a CPU, more memory, and longer to load (default: " +
      "where that pays for the pictures at hand)",
  );
}

function noOptimizeOption(): Option {
  return new Option(
    "--no-optimize",
    "never rewrite it: less memory, and the last bits of a result depend on nothing else",
  );
}

function programCacheOption(): Option {
  return new Option(
    "--program-cache <dir>",
    "keep what is computed from the weights at loading in this folder (gigabytes): later runs in an optimized form or in " +
      "int8 load faster",
  );
}

/** Adds where networks run that compute in float32 only. */
export function addFloat32Options(command: Command): Command {
  return command.addOption(deviceOption()).addOption(threadsOption());
}

function deviceOption(): Option {
  return new Option("--device <name>", "where to compute").choices(["auto", ...NODE_DEVICES]).default("auto");
}

/** Threads that work on one operator wait for the slowest of them. */
export const THREADS_HELP = "(default: all cores; where other programs keep them busy, 1 can be twice as fast)";

function threadsOption(): Option {
  return new Option("--threads <n>", `CPU threads ${THREADS_HELP}`).argParser(parseCount);
}

/** Starts an engine in float32, lets `work` use it, and frees it. */
export async function withEngine<T>(
  { device, threads }: DeviceFlags,
  io: CliIo,
  work: (engine: Engine) => Promise<T>,
): Promise<T> {
  // Figures are compared with those of other machines: they don't depend on which form is faster here.
  const engine = await createEngine({ device, optimize: false, ...(threads === undefined ? {} : { threads }) });
  try {
    return await work(engine);
  } finally {
    // After an interruption there may be a computation that this would wait for.
    if (!io.signal.aborted) await engine.dispose();
  }
}

/** The form that flags mean where int8 can't be asked for. @throws UsageError for flags that contradict each other */
export function parseForm({ device, dtype, optimize }: Omit<FormFlags, "calibration">): Form {
  // As autoencoders are loaded by core: their weights are used where they lie.
  return rethrowAs(UsageError, "--", () =>
    chooseForm({ device, dtype, optimize: optimize ?? "auto" }, { packWeights: false }),
  );
}

/**
 * The form of an autoencoder that flags mean; for int8, with the pictures that its ranges are to be observed on.
 *
 * @param runs how often each program will run
 * @throws UsageError for flags that contradict each other
 */
async function parseModelForm(flags: FormFlags, io: CliIo, runs: number): Promise<ModelForm> {
  const { device, dtype, optimize, calibration } = flags;
  // Pictures are only read once the flags make sense.
  const observed = dtype === "int8" || calibration !== undefined ? { calibration: { pictures: [] } } : {};
  const form = rethrowAs(UsageError, "--", () =>
    chooseModelForm({ device, dtype, optimize: optimize ?? "auto", ...observed }),
  );
  if (form.kind === "auto") return { ...form, runs };
  if (!("calibration" in form)) return form;
  return { kind: "int8", calibration: await calibrationOptions(calibration, io) };
}

/** A form in words, for those who want to repeat what it gave. */
export function describeForm(form: ModelForm): string[] {
  const graph = { fast: ["optimized graph"], auto: ["graph optimized where it pays"] };
  return [dtypeOfForm(form), ...(form.kind === "fast" || form.kind === "auto" ? graph[form.kind] : [])];
}

/** What a model is loaded by, beside its form. */
type LoadFlags = ModelFlags &
  DeviceFlags &
  Pick<EngineFlags, "programCache" | "maxMemory"> & { readonly scalingFactor?: number; readonly shiftFactor?: number };

/**
 * Loads a model in the form that its flags mean, lets `work` use it, and frees it.
 *
 * @param runs how often each program will run: a picture or two don't pay for loading a faster form
 */
export async function withModel<T>(
  flags: LoadFlags & FormFlags,
  io: CliIo,
  work: (model: Model, form: ModelForm) => Promise<T>,
  runs = Number.POSITIVE_INFINITY,
): Promise<T> {
  const form = await parseModelForm(flags, io, runs);
  return withModelAs(form, flags, io, async (model) => {
    const reason = form.kind === "int8" ? whyNotInt8(await cpuFacts()) : undefined;
    if (reason !== undefined) io.note(`dcae: --dtype int8: ${reason}`);
    return work(model, form);
  });
}

/** As `withModel`, in a form that is given. */
export async function withModelAs<T>(
  form: ModelForm,
  flags: LoadFlags,
  io: CliIo,
  work: (model: Model) => Promise<T>,
): Promise<T> {
  const { threads, scalingFactor, shiftFactor, programCache, maxMemory } = flags;
  const device = maxMemory !== undefined && flags.device === "auto" ? "cpu" : flags.device;
  const unknown = maxMemory === undefined || device === "auto" ? undefined : memoryUnknown(device);
  if (unknown !== undefined) throw errorAs(unknown, UsageError, "--max-memory: ");
  const options = {
    ...(await openOptions(flags, io)),
    ...{ device, form, scalingFactor, shiftFactor },
    ...(threads === undefined ? {} : { threads }),
    ...(programCache === undefined ? {} : { programCache }),
  };
  io.progress.show({ label: "loading", done: 0, total: 1, detail: flags.model });
  await checkPlace(flags.model, flags);
  return withLoaded(() => loadAutoencoder(flags.model, options), io, work);
}

/** The side of calibration pictures: that of the scenes that are drawn where none are given. */
const CALIBRATION_SIZE = 256;

async function calibrationOptions(calibration: FormFlags["calibration"], io: CliIo): Promise<CalibrationOptions> {
  const onProgress: CalibrationOptions["onProgress"] = ({ done, total }) =>
    io.progress.show({ label: "calibrate", done, total, detail: "in float32" });
  if (calibration === undefined) return { onProgress, pictures: calibrationScenes() };
  const files = await listFiles(calibration, { accept: isPictureName, what: "pictures" }, io);
  const load = ({ path }: ListedFile) => loadImage(path, { size: CALIBRATION_SIZE });
  return { onProgress, pictures: await Promise.all(files.map(load)) };
}

/** As `withModel`, for a model that `load` gives. */
export async function withLoaded<T>(
  load: () => Promise<Model>,
  io: CliIo,
  work: (model: Model) => Promise<T>,
): Promise<T> {
  const loading = load();
  try {
    return await work(await unlessAborted(loading, io.signal));
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
