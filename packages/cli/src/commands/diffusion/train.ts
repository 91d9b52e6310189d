/** `dcae diffusion train`: a class-conditional diffusion model from a folder of latents. */
import { loadAutoencoder } from "@dcae/core";
import { rethrowAs } from "@dcae/core/graph";
import { type Communicator, onFirst, together } from "@dcae/core/internal";
import { objectiveOf } from "@dcae/diffusion";
import {
  type DiffusionConfig,
  type DiffusionPlan,
  denoiserStages,
  diffusionRecipeNames,
  loadDiffusionConfig,
  parseDiffusionConfig,
  planDiffusion,
  trainDiffusion,
} from "@dcae/train/diffusion";
import {
  applySettings,
  batchesPerUpdate,
  describeRanks,
  type MeasuredUpdate,
  measureOrEstimateUpdate,
} from "@dcae/train/internal";
import { Command } from "commander";
import { type CliIo, formatBytes, plural } from "../../cli-io.js";
import { UsageError } from "../../errors.js";
import { hubOptions } from "../../options/model-options.js";
import { withRanks } from "../../options/parallel-options.js";
import { type Chosen, chooseRun, type RunFlags, timeOf } from "../../training/choose-training.js";
import {
  endStopped,
  formatMeasured,
  formatOutcome,
  trainingProgress,
  withTrainingEngine,
} from "../../training/run-training.js";
import {
  addSetMetricOptions,
  missingSetMetrics,
  type SetMetricFlags,
  setMetricsOpener,
} from "../../training/set-metrics.js";
import {
  addTrainingEngineOptions,
  checkEngineFlags,
  openTrainingEngine,
  rankFlags,
  type TrainingEngineFlags,
} from "../../training/training-options.js";
import { addExamples } from "../command-group.js";

interface DiffusionFlags extends RunFlags, TrainingEngineFlags, SetMetricFlags {
  readonly data?: string;
  readonly validation?: string;
  readonly normalizeChannels?: boolean;
  readonly autoencoder?: string;
  readonly set?: readonly string[];
  readonly dryRun?: boolean;
  readonly list?: boolean;
  readonly showConfig?: boolean;
  readonly json?: boolean;
}

export function diffusionTrainCommand(io: CliIo): Command {
  const command = new Command("train")
    .summary("a diffusion model from a folder of latents")
    .description(
      "Trains UViT, DiT, USiT, SiT or SANA-cls as a recipe or a JSON file says, on latents with labels. A run leaves metrics, " +
        "curves, sheets of samples, checkpoints, and a model that `dcae sample` loads. Ctrl-C saves and stops; --resume goes " +
        "on with the same bits. The file (or --set) says which optimizers train which parameters (AdamW, CAME, Lion) and which " +
        "averages of the weights are kept, which counts of channels train (channels), of how many samples distances are computed " +
        "(evaluateSamples), and by which metric the best model is chosen (best).",
    );
  command
    .option("--config <recipe|file>", "a recipe's name (see --list), or a JSON file of the same form")
    .option("--data <dir>", "folder of latents, as `dcae latents` writes it, in place of the training's")
    .option("--validation <dir>", "folder of latents to evaluate on (default: some of those that it trains on)")
    .option(
      "--normalize-channels",
      "give every channel of the latents mean 0 and deviation 1, by their statistics.json; the model says so, and sampling undoes it",
    )
    .option("--autoencoder <model>", "what decodes samples (default: the one that the latents name)")
    .option("-o, --out <dir>", "folder of the run (default: runs/ and the training's name)")
    .option("--resume", "go on with what the folder holds");
  addSetMetricOptions(command, false);
  addTrainingEngineOptions(command)
    .option("--set <key=value...>", "replace values of the training, as in steps=500 samples.guidance=2")
    .option(
      "--dry-run",
      "show what would train, how large it is and in how much memory, and stop; with --json every parameter, too",
    )
    .option("--list", "list the recipes, and stop")
    .option("--show-config", "print the training as JSON with all of its values, and stop")
    .option("--json", "print the result as JSON");
  addExamples(command, [
    {
      does: "a published size on latents of your pictures",
      command: "dcae diffusion train --config uvit-h-f64-imagenet --data latents/ --out runs/uvit-h",
    },
    { does: "look before you leap", command: "dcae diffusion train --config uvit-h-f64-imagenet --dry-run" },
    {
      does: "augmented, as DC-AE 1.5's models: each update trains drawn counts of the first channels of latents",
      command: "dcae diffusion train --config usit-scenes-augmented",
    },
    {
      does: "by four processes that share every batch (under Slurm: srun --mpi=pmix -n 4)",
      command: "mpirun -n 4 dcae diffusion train --config uvit-h-f64-imagenet --data latents/ --parallel mpi",
    },
    { does: "go on after Ctrl-C, a crash or a reboot", command: "dcae diffusion train --resume --out runs/uvit-h" },
    {
      does: "a training of your own",
      command: "dcae diffusion train --config uvit-h-f64-imagenet --show-config > mine.json",
    },
  ]);
  return command.action(async (flags: DiffusionFlags) => {
    checkEngineFlags(flags);
    if (flags.list === true) return listRecipes(flags, io);
    const choose = () =>
      chooseRun(flags, "dcae diffusion train", async (from) => replace(await loadDiffusionConfig(from), flags));
    if (flags.showConfig === true) return io.json((await choose()).config);
    return withRanks(flags, io, async (ranks, own) =>
      runDiffusion(await together(ranks, "the settings", choose), rankFlags(flags, ranks), own, ranks),
    );
  });
}

async function listRecipes({ json }: DiffusionFlags, io: CliIo): Promise<void> {
  const recipes = await Promise.all(diffusionRecipeNames().map(loadDiffusionConfig));
  if (json === true) return io.json(recipes);
  const entries = recipes.map((recipe) =>
    [recipe.name, `  ${recipe.about}`, `  needs latents in ${recipe.data.path}`, ...timeOf(recipe)].join("\n"),
  );
  io.out(entries.join("\n\n"));
}

/** The training with the options' values in place of its own. */
function replace(
  config: DiffusionConfig,
  { data, validation, normalizeChannels, autoencoder, evaluate, set = [] }: DiffusionFlags,
): DiffusionConfig {
  const changed = {
    ...config,
    ...(autoencoder === undefined ? {} : { autoencoder }),
    ...(evaluate === undefined ? {} : { evaluate: [...evaluate] }),
    data: {
      ...config.data,
      // Held-out latents belong to the data that they were held out of.
      ...(data === undefined ? {} : { path: data, validation: null }),
      ...(validation === undefined ? {} : { validation }),
      ...(normalizeChannels === undefined ? {} : { normalizeChannels }),
    },
  };
  return rethrowAs(UsageError, "--set: ", () => parseDiffusionConfig(applySettings(changed, set), "settings"));
}

/** A plan as lines of text. */
function formatDiffusionPlan(plan: DiffusionPlan): string {
  const { name, arch, objective, parameters, tokens, gmacs, steps, latentsPerUpdate, epochs, assumptions, memory } =
    plan;
  const passes = epochs === null ? "" : `, ${epochs.toPrecision(3)} passes over the data`;
  return [
    `${name}: ${arch} with ${plural(parameters, "parameter")}, ${plural(tokens, "token")}, ${gmacs.toPrecision(4)} GMACs a latent`,
    `  ${plural(steps, "update")} of ${plural(latentsPerUpdate, "latent")}${describeRanks(latentsPerUpdate, plan.ranks)}${passes}; objective: ${objective}`,
    ...(plan.channels === null ? [] : [`  ${plan.channels}`]),
    `  learning rate: ${plan.learningRate}`,
    `  memory of the process, estimated: ${formatBytes(memory.process)} (tensors: state ${formatBytes(memory.state)}, ` +
      `activations ${formatBytes(memory.activations)})`,
    ...assumptions.map((assumption) => `  ${assumption}`),
  ].join("\n");
}

/** Every autoencoder encodes it. What is missing doesn't depend on the size of samples. */
const ANY_SIZE = 1024;

/** What an update takes on the engine that the flags name, and which distances can't be computed. */
async function tryOut(
  config: DiffusionConfig,
  { network }: DiffusionPlan,
  flags: DiffusionFlags,
  io: CliIo,
): Promise<{ readonly measured: MeasuredUpdate; readonly missing: readonly string[] }> {
  const engine = await openTrainingEngine(flags);
  try {
    const stages = denoiserStages(network, objectiveOf(network.recipe), config);
    return {
      missing: await missingSetMetrics(setMetricsOpener(engine, false, flags, io), config.evaluate, ANY_SIZE),
      measured: await measureOrEstimateUpdate(engine, stages, batchesPerUpdate(config), () =>
        denoiserStages(network, objectiveOf(network.recipe), { ...config, batch: 1, accumulate: 1 }),
      ),
    };
  } finally {
    await engine.dispose();
  }
}

/** @throws the reason of `io.signal` when a signal stopped the run, after it was saved */
async function runDiffusion(
  { config, directory }: Chosen<DiffusionConfig>,
  flags: DiffusionFlags,
  io: CliIo,
  ranks: Communicator | undefined,
): Promise<void> {
  const { json = false } = flags;
  const plan = await together(ranks, "the plan", () => planDiffusion(config, ranks?.size));
  if (flags.dryRun === true) {
    return onFirst(ranks, "trying", async () => {
      const { measured, missing } = await tryOut({ ...config, batch: config.batch / plan.ranks }, plan, flags, io);
      if (json) return io.json({ directory, ...plan, measured, missing });
      io.out(`${formatDiffusionPlan(plan)}\n  ${formatMeasured(measured, plan.steps)}`);
      for (const text of missing) io.out(`missing: ${text}`);
    });
  }
  io.note(`${config.name}, in ${directory}`);
  io.note(formatDiffusionPlan(plan));
  const result = await withTrainingEngine(flags, io, ranks, (run) =>
    trainDiffusion({
      ...run,
      config,
      directory,
      openSetMetrics: setMetricsOpener(run.engine, false, flags, io),
      loadDecoder: (source) => loadDecoder(source, flags, io),
      progress: trainingProgress(config.name, io),
    }),
  );
  const outcome = { training: config.name, directory, ...result };
  if (json) io.json(outcome);
  else io.out(formatOutcome(result, "loss"));
  endStopped("dcae diffusion train", directory, io);
}

/** On the CPU with as many threads as training: samples are a small part of a run. */
async function loadDecoder(source: string, { threads }: DiffusionFlags, io: CliIo) {
  const options = { ...hubOptions({}, io), device: "cpu" as const, ...(threads === undefined ? {} : { threads }) };
  return loadAutoencoder(source, options);
}
