/** `dcae train`: an autoencoder from pictures, through the phases of a recipe or of a file. */
import { type TrainingConfig, trainingRecipes } from "@dcae/train";
import type { DataSourceConfig } from "@dcae/train/internal";
import { Command } from "commander";
import type { CliIo } from "../cli-io.js";
import { cacheDirOption, offlineOption } from "../options/model-options.js";
import { choosePhases, chooseTraining, timeOf } from "../training/choose-training.js";
import { runTraining } from "../training/run-training.js";
import { addTrainingOptions, type TrainingFlags } from "../training/training-options.js";
import { addExamples } from "./command-group.js";

interface TrainFlags extends TrainingFlags {
  readonly config?: string;
  readonly phase?: readonly string[];
  readonly list?: boolean;
  readonly showConfig?: boolean;
}

export function trainCommand(io: CliIo): Command {
  const command = new Command("train")
    .summary("an autoencoder from pictures, in phases")
    .description(
      "Trains a DC-AE as a recipe or a JSON file says: phase 1 (low resolution, everything), phase 2 (high resolution, the " +
        "middle), phase 3 (low resolution, decoder head, with a GAN). Each phase leaves metrics, curves, pictures, checkpoints " +
        "and a model that all commands load. Ctrl-C saves and stops; --resume goes on with the same bits. The file (or --set) says " +
        "which optimizers train which parameters (AdamW, CAME, Lion), which averages of the weights are kept, below which side " +
        "pictures are left out (data.minSide), whether they are decoded fast (data.decode), at which sides a phase trains (sizes), which counts of latent channels (channels), what is " +
        "done to the discriminator's pictures (gan.augment), and by which metric the best model is chosen (best).",
    )
    .option("--config <recipe|file>", "a recipe's name (see --list), or a JSON file of the same form")
    .option("--phase <phase...>", "only these phases: 1, 2, 3 or their names (default: all)");
  addTrainingOptions(command)
    .addOption(offlineOption())
    .addOption(cacheDirOption())
    .option("--list", "list the recipes and what they need, and stop")
    .option("--show-config", "print the training as JSON with all of its values, and stop");
  addExamples(command, [
    { does: "without any data", command: "dcae train --config small-f32-scenes" },
    {
      does: "on a folder of pictures, without the weights of LPIPS",
      command: "dcae train --config small-f32-scenes --data photos/ --perceptual none --out runs/photos",
    },
    { does: "look before you leap", command: "dcae train --config f32c32-imagenet --dry-run" },
    { does: "go on after Ctrl-C, a crash or a reboot", command: "dcae train --resume --out runs/photos" },
    {
      does: "as DC-AE 1.5: the first channels of a latent hold the picture, others its details",
      command: "dcae train --config small-f32-scenes-channels --set 'phases.*.channels.draw=3'",
    },
    {
      does: "by four processes that share every batch (Open MPI, MPICH)",
      command: "mpirun -n 4 dcae train --config small-f32-scenes --parallel mpi --out runs/small",
    },
    {
      does: "the same under Slurm, on any number of machines",
      command: "srun --mpi=pmix -n 16 dcae train --config f32c32-imagenet --parallel mpi --resume --out runs/f32",
    },
    { does: "shorter", command: "dcae train --config small-f32-scenes --set phases.phase1.steps=2000" },
    { does: "a training of your own", command: "dcae train --config small-f32-scenes --show-config > mine.json" },
  ]);
  return command.action(async (flags: TrainFlags) => {
    if (flags.list === true) return listRecipes(flags, io);
    if (flags.showConfig === true) return io.json((await chooseTraining(flags)).config);
    const choose = async () => {
      const chosen = await chooseTraining(flags);
      return { ...chosen, phases: flags.phase === undefined ? undefined : choosePhases(chosen.config, flags.phase) };
    };
    return runTraining(choose, flags, io);
  });
}

function listRecipes({ json }: TrainFlags, io: CliIo): void {
  if (json === true) {
    io.json(trainingRecipes());
    return;
  }
  const entries = trainingRecipes().map(({ name, about, ...recipe }) =>
    [name, `  ${about}`, `  needs ${needsOf(recipe).join(", ") || "nothing"}`, ...timeOf(recipe)].join("\n"),
  );
  io.out(entries.join("\n\n"));
}

const placeOf = (source: DataSourceConfig) => (source.kind === "scenes" ? [] : [`pictures in ${source.path}`]);

function needsOf(recipe: Pick<TrainingConfig, "data" | "init" | "perceptual" | "validation">): string[] {
  const { data, init, perceptual, validation } = recipe;
  return [
    ...[...data.sources, ...(validation.sources ?? [])].flatMap(placeOf),
    ...(init === null ? [] : [`the model ${init}`]),
    ...(perceptual === "none"
      ? []
      : ["network" in perceptual ? `the network ${perceptual.network}` : "the weights of LPIPS"]),
  ];
}
