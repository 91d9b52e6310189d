/** `dcae finetune`: parts of a trained model, on pictures of one's own. Builds a training and carries it out as `dcae train`. */
import { finetuneConfig, type TrainingConfig } from "@dcae/train";
import { Command } from "commander";
import type { CliIo } from "../cli-io.js";
import { UsageError } from "../errors.js";
import { addHubOptions, checkPlace, type HubFlags, modelOption } from "../options/model-options.js";
import { parseCount, parseNames, parsePositiveNumber } from "../options/parse-values.js";
import { applyFlags, type Chosen, parseSources } from "../training/choose-training.js";
import { chooseMadeTraining, dcAeOnly, describeCheckpoint, runName, sourceOf } from "../training/made-training.js";
import { runTraining } from "../training/run-training.js";
import { addTrainingOptions, type TrainingFlags } from "../training/training-options.js";
import { addExamples } from "./command-group.js";

/** What makes the training; a run that is resumed has it already. */
interface MakingFlags extends HubFlags {
  readonly train?: readonly string[];
  readonly size?: number;
  readonly batchSize?: number;
  readonly accumulate?: number;
  readonly steps?: number;
  readonly lr?: number;
  readonly gan?: boolean;
}

interface FinetuneFlags extends TrainingFlags, MakingFlags {
  readonly model?: string;
  readonly showConfig?: boolean;
}

export function finetuneCommand(io: CliIo): Command {
  const command = new Command("finetune")
    .summary("parts of a trained model, on your pictures")
    .description(
      "Trains chosen parameters of a checkpoint further, by default the decoder, so that latents stay what they are.\n" +
        "It makes a training of one phase, and everything else is as in `dcae train`.",
    )
    .addOption(modelOption().makeOptionMandatory(false))
    .option(
      "--train <names>",
      'what trains: places of official names, separated by commas, "*" for anything (default: decoder)',
      parseNames,
    )
    .option("--size <n>", "side of the pictures (default: 256)", parseCount)
    .option("--batch-size <n>", "pictures per batch (default: 4)", parseCount)
    .option("--accumulate <n>", "batches per update (default: 4)", parseCount)
    .option("--steps <n>", "updates (default: 5000)", parseCount)
    .option("--lr <rate>", "learning rate (default: 1.6e-5)", parsePositiveNumber)
    .option("--gan", "with the adversarial loss; decoder.project_out must train")
    .option("--show-config", "print the training as JSON with all of its values, and stop");
  addTrainingOptions(addHubOptions(command));
  addExamples(command, [
    {
      does: "the decoder, on a folder",
      command: "dcae finetune -m dc-ae-f32c32-in-1.0 --data photos/ --out runs/photos",
    },
    {
      does: "what phase 3 trains, with its adversarial loss",
      command:
        'dcae finetune -m ./dc-ae-f32c32 --train "decoder.project_out,decoder.stages.0" --gan --data photos/ --out runs/head',
    },
    {
      does: "the small model that comes with dcae: needs nothing but pictures",
      command: "dcae finetune -m small-f32 --data photos/ --size 128 --perceptual none --out runs/small",
    },
    {
      does: "by two processes that share every batch",
      command: "mpirun -n 2 dcae finetune -m small-f32 --data photos/ --size 128 --perceptual none --parallel mpi",
    },
    { does: "look first", command: "dcae finetune -m dc-ae-f64c128-in-1.0 --data photos/ --dry-run" },
    {
      does: "a training of your own, for `dcae train --config`",
      command: "dcae finetune -m small-f32 --data photos/ --show-config > mine.json",
    },
    { does: "go on", command: "dcae finetune --resume --out runs/photos" },
  ]);
  return command.action(async (flags: FinetuneFlags) => {
    const choose = () => chooseFinetuning(flags, io);
    if (flags.showConfig === true) return io.json((await choose()).config);
    return runTraining(choose, flags, io);
  });
}

function chooseFinetuning(flags: FinetuneFlags, io: CliIo): Promise<Chosen<TrainingConfig>> {
  const { train, size, batchSize, accumulate, steps, lr, gan, config, revision, subfolder } = flags;
  const making = { train, size, batchSize, accumulate, steps, lr, gan, config, revision, subfolder };
  return chooseMadeTraining("model", flags.model, making, flags, (name) => makeTraining(name, flags, io));
}

async function makeTraining(name: string, flags: FinetuneFlags, io: CliIo): Promise<TrainingConfig> {
  const { data, ...otherFlags } = flags;
  const { train, size, batchSize, accumulate, steps, lr, gan } = flags;
  if (data === undefined) {
    throw new UsageError("give --data: pictures to fine-tune on", { hint: 'Use "synthetic" for drawn scenes.' });
  }
  await checkPlace(name, flags);
  const model = dcAeOnly(await describeCheckpoint(name, flags, io), `--model ${name}`);
  const config = finetuneConfig({
    name: `finetune-${runName(name)}`,
    init: sourceOf(name, flags),
    model: model.preset ?? model.config,
    architecture: model.config,
    data: { sources: await parseSources(data) },
    trains: train,
    size,
    batch: batchSize,
    accumulate,
    steps,
    lr,
    gan,
  });
  return applyFlags(config, otherFlags);
}
