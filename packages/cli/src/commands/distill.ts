/** `dcae distill`: a DC-AE with the latents of another autoencoder. Builds a training and carries it out as `dcae train`. */
import { rethrowAs } from "@dcae/core/graph";
import { MODEL_PARTS, type ModelPartName } from "@dcae/core/models";
import { distillConfig, type TrainingConfig } from "@dcae/train";
import { type DcAeDescription, describeTeacher, sharedHalves } from "@dcae/train/internal";
import { Command, Option } from "commander";
import type { CliIo } from "../cli-io.js";
import { UsageError } from "../errors.js";
import { addHubOptions, checkPlace, describeConfig, type HubFlags, modelOption } from "../options/model-options.js";
import { parseCount, parseNonNegative, parsePositiveNumber } from "../options/parse-values.js";
import { applyFlags, type Chosen, parseSources } from "../training/choose-training.js";
import { chooseMadeTraining, dcAeOnly, describeCheckpoint, runName, sourceOf } from "../training/made-training.js";
import { runTraining } from "../training/run-training.js";
import { addTrainingOptions, type TrainingFlags } from "../training/training-options.js";
import { addExamples } from "./command-group.js";

/** What makes the training; a run that is resumed has it already. */
interface MakingFlags extends HubFlags {
  readonly student?: string;
  readonly train?: ModelPartName | "both";
  readonly size?: number;
  readonly batchSize?: number;
  readonly accumulate?: number;
  readonly steps?: number;
  readonly lr?: number;
  readonly latentWeight?: number;
  readonly decodesWeight?: number;
  readonly scalingFactor?: number;
  readonly gan?: boolean;
}

interface DistillFlags extends TrainingFlags, MakingFlags {
  readonly teacher?: string;
  readonly showConfig?: boolean;
}

export function distillCommand(io: CliIo): Command {
  const command = new Command("distill")
    .summary("a smaller encoder or decoder for the same latents")
    .description(
      "Trains a DC-AE, the student, whose latents are those of another autoencoder, the teacher, which may be of any family. Halves " +
        "that both have in common are taken over as they are. The student's decoder learns to decode the teacher's latents, its " +
        "encoder to make them. Everything else is as in `dcae train`.",
    )
    .addOption(modelOption("-t, --teacher <model>").makeOptionMandatory(false))
    .option("--student <preset|file>", "the student's configuration: a published DC-AE's, or a JSON file")
    .addOption(
      new Option(
        "--train <half>",
        "what trains (default: what the student doesn't have in common with the teacher)",
      ).choices([...MODEL_PARTS, "both"]),
    )
    .option("--size <n>", "side of the pictures (default: 256)", parseCount)
    .option("--batch-size <n>", "pictures per batch (default: 8)", parseCount)
    .option("--accumulate <n>", "batches per update (default: 1)", parseCount)
    .option("--steps <n>", "updates (default: 20000)", parseCount)
    .option("--lr <rate>", "highest learning rate (default: 5e-4)", parsePositiveNumber)
    .option(
      "--latent-weight <w>",
      "weight of the latents' error where the encoder trains (default: 1)",
      parsePositiveNumber,
    )
    .option(
      "--decodes-weight <w>",
      "weight of the difference to the teacher's decodes, beside that to the pictures (default: 0)",
      parseNonNegative,
    )
    .option(
      "--scaling-factor <f>",
      "scaling factor that the student's latents are to have (default: the teacher's)",
      parsePositiveNumber,
    )
    .option("--gan", "then the decoder's head with the adversarial loss, a fifth as many updates")
    .option("--show-config", "print the training as JSON with all of its values, and stop");
  addTrainingOptions(addHubOptions(command));
  addExamples(command, [
    {
      does: "a smaller decoder for the latents of the small model",
      command:
        "dcae distill -t small-f32 --student narrow.json --data photos/ --size 128 --perceptual none --out runs/narrow",
    },
    {
      does: "a DC-AE for the latents of SANA, from the tiny encoder; its latents get the published scale",
      command:
        "dcae distill -t taesana_encoder.pth --student student.json --scaling-factor 0.41407 --data photos/ --perceptual none",
    },
    { does: "look first", command: "dcae distill -t small-f32 --student narrow.json --data photos/ --dry-run" },
    { does: "go on", command: "dcae distill --resume --out runs/narrow" },
  ]);
  return command.action(async (flags: DistillFlags) => {
    const choose = () => chooseDistillation(flags, io);
    if (flags.showConfig === true) return io.json((await choose()).config);
    return runTraining(choose, flags, io);
  });
}

function chooseDistillation(flags: DistillFlags, io: CliIo): Promise<Chosen<TrainingConfig>> {
  const { student, train, size, batchSize, accumulate, steps, lr, latentWeight, decodesWeight, scalingFactor } = flags;
  const { gan, config, revision, subfolder } = flags;
  const network = { student, train, size, batchSize, accumulate, steps, lr };
  const losses = { latentWeight, decodesWeight, scalingFactor, gan, config, revision, subfolder };
  return chooseMadeTraining("teacher", flags.teacher, { ...network, ...losses }, flags, (name) =>
    makeTraining(name, flags, io),
  );
}

async function makeTraining(name: string, flags: DistillFlags, io: CliIo): Promise<TrainingConfig> {
  const { data, ...otherFlags } = flags;
  if (flags.student === undefined) {
    throw new UsageError("give --student: the configuration of the model that is to be trained", {
      hint: "A published model's name, or a JSON file as `dcae init --config` takes it.",
    });
  }
  if (data === undefined) {
    throw new UsageError("give --data: pictures to train on", { hint: 'Use "synthetic" for drawn scenes.' });
  }
  await checkPlace(name, flags);
  const teacher = { init: sourceOf(name, flags), model: await describeCheckpoint(name, flags, io) };
  const student = await describeStudent(flags.student);
  const { size, batchSize: batch, accumulate, steps, lr, latentWeight, decodesWeight, scalingFactor, gan } = flags;
  const options = {
    ...{ name: `distill-${runName(name)}`, teacher, student: student.preset ?? student.config },
    data: { sources: await parseSources(data) },
    ...{ size, batch, accumulate, steps, lr, latentWeight, decodesWeight, scalingFactor, gan },
  };
  const everything = distillConfig({ ...options, trains: MODEL_PARTS });
  const described = rethrowAs(UsageError, "", () => describeTeacher(everything));
  const shared = described === null ? [] : sharedHalves(described, student);
  const trains = trainedParts(flags.train, shared);
  const config = await applyFlags(distillConfig({ ...options, trains }), otherFlags);
  // What doesn't go together is said before anything is opened.
  rethrowAs(UsageError, "", () => describeTeacher(config));
  return config;
}

function trainedParts(wanted: MakingFlags["train"], shared: readonly ModelPartName[]): readonly ModelPartName[] {
  if (wanted !== undefined) return wanted === "both" ? MODEL_PARTS : [wanted];
  const own = MODEL_PARTS.filter((part) => !shared.includes(part));
  if (own.length > 0) return own;
  throw new UsageError("--student: is the teacher itself: there is nothing to distill", {
    hint: "Give a smaller configuration, or say what trains with --train; `dcae finetune` trains a model further.",
  });
}

async function describeStudent(nameOrFile: string): Promise<DcAeDescription> {
  const subject = `--student ${nameOrFile}`;
  return dcAeOnly(await describeConfig("--student", nameOrFile), subject);
}
