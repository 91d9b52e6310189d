/** `dcae diffusion train`: a class-conditional diffusion model from a folder of latents. */
import { diffusionRecipeNames, loadDiffusionConfig } from "@dcae/train/diffusion";
import { Command } from "commander";
import type { CliIo } from "../../cli-io.js";
import { chooseDiffusion } from "../../training/choose-diffusion.js";
import { addDiffusionOptions, type DiffusionFlags } from "../../training/diffusion-options.js";
import { runDiffusion } from "../../training/run-diffusion.js";
import { checkEngineFlags } from "../../training/training-engine.js";
import { addExamples } from "../command-group.js";

export function diffusionTrainCommand(io: CliIo): Command {
  const command = new Command("train")
    .summary("a diffusion model from a folder of latents")
    .description(
      "Trains UViT, DiT, USiT, SiT or SANA-cls as a recipe or a JSON file says, on latents with labels. A run leaves metrics,\n" +
        "curves, sheets of samples, checkpoints, and a model that `dcae sample` loads. Ctrl-C saves and stops; --resume goes\n" +
        "on with the same bits.",
    );
  addDiffusionOptions(command);
  addExamples(command, [
    {
      does: "a published size on latents of your pictures",
      command: "dcae diffusion train --config uvit-h-f64-imagenet --data latents/ --out runs/uvit-h",
    },
    { does: "look before you leap", command: "dcae diffusion train --config uvit-h-f64-imagenet --dry-run" },
    { does: "go on after Ctrl-C, a crash or a reboot", command: "dcae diffusion train --resume --out runs/uvit-h" },
    {
      does: "a training of your own",
      command: "dcae diffusion train --config uvit-h-f64-imagenet --show-config > mine.json",
    },
  ]);
  return command.action(async (flags: DiffusionFlags) => {
    checkEngineFlags(flags);
    if (flags.list === true) return listRecipes(flags, io);
    const chosen = await chooseDiffusion(flags);
    if (flags.showConfig === true) return io.out(JSON.stringify(chosen.config, undefined, 2));
    return runDiffusion(chosen, flags, io);
  });
}

async function listRecipes({ json }: DiffusionFlags, io: CliIo): Promise<void> {
  const recipes = await Promise.all(diffusionRecipeNames().map(loadDiffusionConfig));
  if (json === true) return io.out(JSON.stringify(recipes, undefined, 2));
  const entries = recipes.map(({ name, about, data, expectedTime, results }) =>
    [
      name,
      `  ${about}`,
      `  needs latents in ${data.path}`,
      `  time: ${expectedTime ?? "not measured"}`,
      ...(results === null
        ? []
        : [
            `  results: ${Object.entries(results.metrics)
              .map(([key, value]) => `${key} ${value}`)
              .join(", ")} (${results.on})`,
          ]),
    ].join("\n"),
  );
  io.out(entries.join("\n\n"));
}
