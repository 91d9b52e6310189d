/** `dcae init`: a fresh checkpoint with the reference's initialization. */
import { initialWeights } from "@dcae/core/checkpoint";
import { saveCheckpoint } from "@dcae/core/internal";
import { countParameters, describePreset, type ModelDescription, modelParameters } from "@dcae/core/models";
import { Command } from "commander";
import { type CliIo, formatCount } from "../cli-io.js";
import { UsageError } from "../errors.js";
import { addSaveOptions, defaultFormat, type SaveFlags, saveOptions } from "../options/codec-options.js";
import { presetOf, readConfigFile } from "../options/model-options.js";
import { parseSeed } from "../options/parse-values.js";
import { addExamples } from "./command-group.js";

interface InitFlags extends SaveFlags {
  readonly preset?: string;
  readonly config?: string;
  readonly seed: bigint;
  readonly out: string;
  readonly json?: boolean;
}

export function initCommand(io: CliIo): Command {
  const command = new Command("init")
    .summary("a fresh checkpoint with random weights")
    .description(
      "Writes a checkpoint with random weights, initialized as the reference does: the start of a training run, or a model " +
        "of the right shape to try things with. The same seed gives the same weights, in either format.",
    )
    .option("--preset <name>", "the architecture of a published model")
    .option("--config <file>", "a configuration: a config.json of either format, or the official constructor's values")
    .option("--seed <n>", "integer from 0 to 2^64-1 (default: 0)", parseSeed)
    .requiredOption("-o, --out <dir>", "folder of the checkpoint");
  addSaveOptions(command).option("--json", "print the result as JSON");
  addExamples(command, [
    { does: "a published architecture", command: "dcae init --preset dc-ae-f32c32-in-1.0 --seed 1 --out ./fresh" },
    {
      does: "your own, for the diffusers library",
      command: "dcae init --config tiny.json --format diffusers --out ./tiny",
    },
  ]);
  return command.action(async (flags: InitFlags) => {
    const { out, seed = 0n, dtype = "float32" } = flags;
    const model = await chooseModel(flags);
    const parameters = await initCheckpoint(model, seed, out, flags, io);
    const format = flags.format ?? defaultFormat(model);
    if (flags.json === true) io.json({ out, format, dtype, seed: String(seed), parameters });
    else io.out(`${out}: ${formatCount(parameters)} random parameters, ${format} format, ${dtype}, seed ${seed}`);
  });
}

async function chooseModel({ preset, config }: InitFlags): Promise<ModelDescription> {
  if (preset !== undefined && config !== undefined) throw new UsageError("--preset and --config exclude each other");
  if (preset !== undefined) return describePreset(presetOf("--preset", preset));
  if (config !== undefined) return readConfigFile(config);
  throw new UsageError("give --preset or --config");
}

/** Writes a fresh checkpoint; gives the number of its learnable values. */
async function initCheckpoint(
  model: ModelDescription,
  seed: bigint,
  out: string,
  flags: SaveFlags,
  io: CliIo,
): Promise<number> {
  const specs = modelParameters(model);
  try {
    await saveCheckpoint(model, initialWeights(specs, seed), out, saveOptions(flags, io));
  } finally {
    io.progress.clear();
  }
  return countParameters(specs).total;
}
