/** The options that trainings share: where to compute, what to show, how to go on. */
import { type Command, Option } from "commander";
import { THREADS_HELP } from "../options/engine-options.js";
import { parseCount } from "../options/parse-values.js";

export const TRAINING_ENGINES = ["onnx", "tfjs"] as const;
export type TrainingEngineName = (typeof TRAINING_ENGINES)[number];

/** All but the first are refused, with the reason. */
const DTYPES = ["float32", "float16", "int8"] as const;

export interface TrainingEngineFlags {
  readonly engine: TrainingEngineName;
  readonly device: string;
  readonly threads?: number;
  readonly dtype: (typeof DTYPES)[number];
}

export interface TrainingFlags extends TrainingEngineFlags {
  readonly data?: readonly string[];
  readonly validation?: readonly string[];
  readonly out?: string;
  readonly resume?: boolean;
  readonly perceptual?: "none" | "lpips";
  readonly vgg16?: string;
  readonly lpips?: string;
  readonly offline?: boolean;
  readonly cacheDir?: string;
  readonly set?: readonly string[];
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Adds where a training computes. */
export function addTrainingEngineOptions(command: Command): Command {
  return command
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
      new Option("--dtype <type>", "type that is computed in: float32, there is no other yet")
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
  return addTrainingEngineOptions(command)
    .addOption(
      new Option("--perceptual <loss>", "perceptual loss (default: what the training says)").choices(["none", "lpips"]),
    )
    .option("--vgg16 <file>", "weights of LPIPS: torchvision's VGG16 (or the environment variable DCAE_VGG16)")
    .option("--lpips <file>", "weights of LPIPS: its linear layers (or the environment variable DCAE_LPIPS_VGG)")
    .option("--set <key=value...>", "replace values of the training, as in phases.phase1.steps=500 or data.flip=true")
    .option("--dry-run", "show what would train, for how long and in how much memory, and stop")
    .option("--json", "print the result as JSON");
}
