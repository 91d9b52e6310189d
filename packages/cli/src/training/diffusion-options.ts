/** The options of `dcae diffusion train`. */
import type { Command } from "commander";
import type { DiffusionChoice } from "./choose-diffusion.js";
import { addTrainingEngineOptions, type TrainingEngineFlags } from "./training-options.js";

export interface DiffusionFlags extends DiffusionChoice, TrainingEngineFlags {
  readonly dryRun?: boolean;
  readonly list?: boolean;
  readonly showConfig?: boolean;
  readonly json?: boolean;
}

export function addDiffusionOptions(command: Command): Command {
  command
    .option("--config <recipe|file>", "a recipe's name (see --list), or a JSON file of the same form")
    .option("--data <dir>", "folder of latents, as `dcae latents` writes it, in place of the training's")
    .option("--validation <dir>", "folder of latents to evaluate on (default: some of those that it trains on)")
    .option("--autoencoder <model>", "what decodes samples (default: the one that the latents name)")
    .option("-o, --out <dir>", "folder of the run (default: runs/ and the training's name)")
    .option("--resume", "go on with what the folder holds");
  return addTrainingEngineOptions(command)
    .option("--set <key=value...>", "replace values of the training, as in steps=500 samples.guidance=2")
    .option("--dry-run", "show what would train, how large it is and in how much memory, and stop")
    .option("--list", "list the recipes, and stop")
    .option("--show-config", "print the training as JSON with all of its values, and stop")
    .option("--json", "print the result as JSON");
}
