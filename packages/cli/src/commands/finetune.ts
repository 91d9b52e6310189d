/** `dcae finetune`: parts of a trained model, on pictures of one's own. Builds a training and carries it out as `dcae train`. */
import { stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { rethrowAs } from "@dcae/core/graph";
import { describePreset, findPreset, requireFamily } from "@dcae/core/models";
import { finetuneConfig, loadTrainingConfig, type TrainingConfig } from "@dcae/train";
import type { DcAeDescription } from "@dcae/train/internal";
import { Command } from "commander";
import type { CliIo } from "../cli-io.js";
import { UsageError } from "../errors.js";
import { addHubOptions, checkPlace, type HubFlags, modelOption, openModel } from "../options/model-options.js";
import { parseCount, parsePositiveNumber } from "../options/parse-values.js";
import { applyFlags, type Chosen, fileOfRun, parseSources } from "../training/choose-training.js";
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
    { does: "look first", command: "dcae finetune -m dc-ae-f64c128-in-1.0 --data photos/ --dry-run" },
    {
      does: "a training of your own, for `dcae train --config`",
      command: "dcae finetune -m small-f32 --data photos/ --show-config > mine.json",
    },
    { does: "go on", command: "dcae finetune --resume --out runs/photos" },
  ]);
  return command.action(async (flags: FinetuneFlags) => {
    const chosen = await chooseFinetuning(flags, io);
    if (flags.showConfig === true) return io.json(chosen.config);
    return runTraining(chosen, undefined, flags, io);
  });
}

function parseNames(text: string): string[] {
  return text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

async function chooseFinetuning(flags: FinetuneFlags, io: CliIo): Promise<Chosen<TrainingConfig>> {
  const { model, out, resume } = flags;
  if (model !== undefined) {
    const config = await makeTraining(model, flags, io);
    return { config, directory: out ?? join("runs", config.name) };
  }
  if (resume !== true || out === undefined) {
    throw new UsageError("give --model (or --resume and the --out of a run)");
  }
  const { train, size, batchSize, accumulate, steps, lr, gan, config, revision, subfolder } = flags;
  const making = { train, size, batchSize, accumulate, steps, lr, gan, config, revision, subfolder };
  const useless = Object.entries(making).find(([, value]) => value !== undefined)?.[0];
  if (useless === undefined)
    return {
      config: await applyFlags(await loadTrainingConfig(await fileOfRun(out, "--model")), flags),
      directory: out,
    };
  const option = useless.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new UsageError(`--${option} has no effect on a run that is resumed`, {
    hint: "Values that may change can be given by --set, as in --set phases.finetune.steps=8000.",
  });
}

async function makeTraining(name: string, flags: FinetuneFlags, io: CliIo): Promise<TrainingConfig> {
  const { data, ...otherFlags } = flags;
  const { train, size, batchSize, accumulate, steps, lr, gan, revision, subfolder } = flags;
  if (data === undefined) {
    throw new UsageError("give --data: pictures to fine-tune on", { hint: 'Use "synthetic" for drawn scenes.' });
  }
  await checkPlace(name, flags);
  const model = await describe(name, flags, io);
  const place = {
    ...(revision === undefined ? {} : { revision }),
    ...(subfolder === undefined ? {} : { subfolder }),
  };
  const config = finetuneConfig({
    name: `finetune-${runName(name)}`,
    init: Object.keys(place).length === 0 ? name : { model: name, ...place },
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

/** What the model is; of a published one that isn't here yet, without downloading it. */
async function describe(name: string, flags: HubFlags, io: CliIo): Promise<DcAeDescription> {
  const isLocal = (await stat(name).catch(() => undefined)) !== undefined;
  const preset = isLocal || flags.config !== undefined ? undefined : findPreset(name);
  const model = preset === undefined ? await inspect(name, flags, io) : describePreset(preset);
  return rethrowAs(UsageError, "", () =>
    requireFamily(model, "dc-ae", `--model ${name}`, "Only DC-AE is trained here."),
  );
}

async function inspect(name: string, flags: HubFlags, io: CliIo) {
  const { model, weights } = await openModel(name, flags, io);
  await weights.close();
  return model;
}

/** As a run can be called. */
function runName(model: string): string {
  const name = basename(model, extname(model) === ".safetensors" ? ".safetensors" : "").toLowerCase();
  return name.replace(/[^a-z0-9.-]+/g, "-").replace(/^[^a-z0-9]+/, "") || "model";
}
