/** The options that trainings share: where to compute, what to show, how to go on; and the engine that they ask for. */
import { availableParallelism } from "node:os";
import { createEngine, type Device, type Engine } from "@dcae/core";
import type { Communicator } from "@dcae/core/internal";
import { createTfjsEngine, TFJS_BACKENDS, type TfjsBackend } from "@dcae/train/tfjs";
import { type Command, Option } from "commander";
import { plural } from "../cli-io.js";
import { UsageError } from "../errors.js";
import { NODE_DEVICES, THREADS_HELP } from "../options/engine-options.js";
import { parallelOption, threadsOfRank } from "../options/parallel-options.js";
import { parseCount } from "../options/parse-values.js";
import { addSetMetricOptions, type SetMetricFlags } from "./set-metrics.js";

export const TRAINING_ENGINES = ["onnx", "tfjs"] as const;
export type TrainingEngineName = (typeof TRAINING_ENGINES)[number];

/** All but the first are refused, with the reason. */
const DTYPES = ["float32", "float16", "int8"] as const;

export interface TrainingEngineFlags {
  readonly engine: TrainingEngineName;
  readonly device: string;
  readonly threads?: number;
  readonly dtype: (typeof DTYPES)[number];
  readonly parallel?: "mpi";
}

export interface TrainingFlags extends TrainingEngineFlags, SetMetricFlags {
  readonly data?: readonly string[];
  readonly validation?: readonly string[];
  readonly out?: string;
  readonly resume?: boolean;
  /** "none", "lpips", or the path of a network. */
  readonly perceptual?: string;
  readonly vgg16?: string;
  readonly lpips?: string;
  readonly set?: readonly string[];
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Adds where a training computes. */
export function addTrainingEngineOptions(command: Command): Command {
  return command
    .addOption(parallelOption("every batch"))
    .addOption(
      new Option("--engine <name>", "what computes: ONNX Runtime or TensorFlow.js")
        .choices([...TRAINING_ENGINES])
        .default("onnx"),
    )
    .option(
      "--device <name>",
      "of the engine: auto, cpu, webgpu, cuda... (onnx), tensorflow-gpu, tensorflow, wasm, cpu (tfjs)",
      "auto",
    )
    .option("--threads <n>", `CPU threads of ONNX Runtime ${THREADS_HELP}`, parseCount)
    .addOption(
      new Option("--dtype <type>", "type that is computed in; all but float32 are refused, with the reason")
        .choices([...DTYPES])
        .default("float32"),
    );
}

/** Adds what `dcae train` and `dcae finetune` share. */
export function addTrainingOptions(command: Command): Command {
  command
    .option(
      "--data <source...>",
      'picture folders, tar or zip shards (a file, a folder of them, or an index .json), or "synthetic"; PATH=WEIGHT for shares',
    )
    .option("--validation <source...>", "pictures to evaluate on, as for --data")
    .option("-o, --out <dir>", "folder of the run (default: runs/ and the training's name)")
    .option("--resume", "go on with what the folder holds");
  addSetMetricOptions(command, true);
  return addTrainingEngineOptions(command)
    .option(
      "--perceptual <loss>",
      "perceptual loss: none, lpips, or a network in whose features pictures are compared, the folder or model.json of a Keras model " +
        "for TensorFlow.js (default: what the training says)",
    )
    .option("--vgg16 <file>", "weights of LPIPS: torchvision's VGG16 (or the environment variable DCAE_VGG16)")
    .option("--lpips <file>", "weights of LPIPS: its linear layers (or the environment variable DCAE_LPIPS_VGG)")
    .option("--set <key=value...>", "replace values of the training, as in phases.phase1.steps=500 or data.flip=true")
    .option(
      "--dry-run",
      "show what would train, for how long and in how much memory, and stop; with --json every parameter, too",
    )
    .option("--json", "print the result as JSON");
}

// The engine.

const DEVICES: Readonly<Record<TrainingEngineFlags["engine"], readonly string[]>> = {
  onnx: ["auto", ...NODE_DEVICES],
  tfjs: ["auto", ...TFJS_BACKENDS],
};

/** @throws UsageError for a device that the engine doesn't have, and for options without effect */
export function checkEngineFlags({ engine, device, threads, dtype }: TrainingEngineFlags): void {
  if (!DEVICES[engine].includes(device)) {
    throw new UsageError(`--device ${device}: the ${engine} engine has no such device`, {
      hint: `Use one of ${DEVICES[engine].join(", ")}.`,
    });
  }
  if (engine === "tfjs" && threads !== undefined) {
    throw new UsageError("--threads has no effect on the tfjs engine");
  }
  if (dtype !== "float32") {
    throw new UsageError(`--dtype ${dtype}: training computes in float32`, {
      hint:
        dtype === "int8"
          ? "Steps of 8 bits are too coarse for gradients; use int8 with the trained model."
          : "ONNX Runtime only converts float16 back and forth on a CPU, TensorFlow.js has no such tensors, and for GPUs " +
            "nobody has built it yet.",
    });
  }
}

/** Whether that engine takes programs in the form that is faster on a CPU. */
export function takesOptimized({ engine, device }: TrainingEngineFlags): boolean {
  return engine === "onnx" && (device === "cpu" || device === "auto");
}

/** What decides the last bits of a run beside its settings. */
export function describeEngine({ name }: Engine, { engine, threads }: TrainingEngineFlags): string {
  if (engine === "tfjs") return name;
  return `${name}, ${plural(threads ?? availableParallelism(), "thread")}`;
}

/** The flags of a rank: ranks of one machine share its threads, unless the launcher has bound each to its own. */
export function rankFlags<T extends TrainingEngineFlags>(flags: T, ranks: Communicator | undefined): T {
  const { engine, threads } = flags;
  if (ranks === undefined || engine !== "onnx" || threads !== undefined) return flags;
  return { ...flags, threads: threadsOfRank(ranks) };
}

/** @throws EngineError when it doesn't start here; it says what to install */
export function openTrainingEngine({ engine, device, threads }: TrainingEngineFlags): Promise<Engine> {
  if (engine === "tfjs") return createTfjsEngine({ backend: device as TfjsBackend | "auto" });
  // What a run measures must not depend on what is faster on a machine: the forms of its steps are part of its recipe.
  const options = { device: device as Device | "auto", optimize: false };
  return createEngine(threads === undefined ? options : { ...options, threads });
}
